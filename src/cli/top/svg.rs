//! A terminal's picture as an SVG document, for pages.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Hundredths of a pixel that a column takes.
const COLUMN: u32 = 843;
const LINE: u32 = 18;
const MARGIN: u32 = 12;

/// The document.
pub(super) fn of(drawn: &Buffer) -> String {
    let (columns, lines) = (u32::from(drawn.area.width), u32::from(drawn.area.height));
    let (width, height) = (
        columns * COLUMN / 100 + 2 * MARGIN,
        lines * LINE + 2 * MARGIN,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16181d\"/>\n"
    );
    let columns = usize::from(drawn.area.width).max(1);
    for (cells, line) in drawn.content.chunks(columns).zip(1_u32..) {
        let y = MARGIN + line * LINE - 5;
        let mut from = 0_u32;
        for run in cells.chunk_by(|a, b| look(a) == look(b)) {
            let text: String = run.iter().map(Cell::symbol).collect();
            let width = u32::try_from(run.len()).unwrap_or(0);
            // Blanks at the ends are left out, since readers of SVG fold them.
            let (bare, blanks) = (text.trim(), text.len() - text.trim_start().len());
            if let (false, Some(first)) = (bare.is_empty(), run.first()) {
                let (fill, bold) = look(first);
                let weight = if bold { " font-weight=\"bold\"" } else { "" };
                let x = MARGIN + (from + u32::try_from(blanks).unwrap_or(0)) * COLUMN / 100;
                let length = u32::try_from(bare.chars().count()).unwrap_or(0) * COLUMN / 100;
                // Nothing is written into a String that could fail.
                let _ = writeln!(
                    svg,
                    "<text x=\"{x}\" y=\"{y}\" fill=\"{fill}\"{weight} textLength=\"{length}\" xml:space=\"preserve\">{}</text>",
                    escape(bare)
                );
            }
            from += width;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn look(cell: &Cell) -> (&'static str, bool) {
    let fill = if cell.fg == Color::Red {
        "#f2686b"
    } else if cell.fg == Color::Yellow {
        "#e6c15c"
    } else if cell.fg == Color::Green {
        "#7ec97e"
    } else if cell.fg == Color::Cyan {
        "#6fc3d8"
    } else if cell.fg == Color::DarkGray {
        "#7a8290"
    } else {
        "#d5dae3"
    };
    (fill, cell.modifier.contains(Modifier::BOLD))
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}
