//! `hongbao top`

mod frame;
mod svg;
mod view;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};

use crate::clock;
use crate::grpc::client::{Authorized, Bearer};
use crate::grpc::pb;
use crate::grpc::pb::admin_service_client::AdminServiceClient;

pub(super) use view::View;

/// Campaigns that are asked for.
const CAMPAIGNS: i32 = 20;
/// What a call may take before the server counts as away.
const PATIENCE: Duration = Duration::from_secs(3);

/// Watch a server: campaigns and their money, queues, accounts, what is held back, and
/// what waits for people. Ends with q.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// The server.
    #[arg(
        long,
        env = "HONGBAO_SERVER",
        default_value = "http://127.0.0.1:50051",
        value_name = "URL"
    )]
    server: Endpoint,
    /// A key with PERMISSION_PLATFORM_READ; better in the environment, where `ps` does
    /// not show it.
    #[arg(long, env = "HONGBAO_KEY", value_name = "KEY", hide_env_values = true)]
    key: String,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 1, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// Look twice, print it, and end. So does an output that is no terminal.
    #[arg(long)]
    once: bool,
    /// With --once: draw it into an SVG file as well.
    #[arg(long, value_name = "FILE", requires = "once")]
    svg: Option<PathBuf>,
    /// With --once: how many columns.
    #[arg(long, default_value_t = 110, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(60..=300))]
    width: u16,
}

/// Asks a server how it stands.
#[derive(Debug)]
pub(super) struct Watcher {
    client: AdminServiceClient<Authorized>,
}

impl Watcher {
    /// Asks through a channel, with a key.
    ///
    /// # Errors
    /// The key has characters that no header may hold.
    pub(super) fn new(channel: Channel, key: &str) -> anyhow::Result<Self> {
        let client = AdminServiceClient::with_interceptor(channel, Bearer::new(Some(key))?);
        Ok(Self { client })
    }

    /// Looks, and notes what was seen.
    pub(super) async fn look(&mut self, view: &mut View) {
        let request = pb::GetOverviewRequest {
            campaign_limit: CAMPAIGNS,
        };
        let asked = tokio::time::timeout(PATIENCE, self.client.get_overview(request)).await;
        match asked {
            Ok(Ok(seen)) => view.saw(seen.into_inner(), clock::monotonic()),
            Ok(Err(status)) => view.missed(format!("{:?}: {}", status.code(), status.message())),
            Err(_) => view.missed("the server does not answer".to_owned()),
        }
    }
}

/// Watches until q or Ctrl-C.
///
/// # Errors
/// The address or the key is malformed; with --once, the server cannot be asked.
pub async fn run(args: Box<TopArgs>) -> anyhow::Result<ExitCode> {
    let mut view = View::new(args.server.uri().to_string());
    let mut watcher = Watcher::new(args.server.connect_lazy(), &args.key)?;
    let every = Duration::from_secs(args.interval);
    if args.once || !std::io::stdout().is_terminal() {
        watcher.look(&mut view).await;
        tokio::time::sleep(every).await;
        watcher.look(&mut view).await;
        anyhow::ensure!(
            view.error().is_none(),
            "{}",
            view.error().unwrap_or_default()
        );
        let drawn = draw(&view, args.width)?;
        write!(std::io::stdout(), "{}", text(&drawn))?;
        if let Some(file) = &args.svg {
            std::fs::write(file, svg::of(&drawn))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut terminal = ratatui::try_init()?;
    let watched = watch(&mut terminal, &mut watcher, &mut view, every).await;
    ratatui::try_restore()?;
    watched.map(|()| ExitCode::SUCCESS)
}

async fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    watcher: &mut Watcher,
    view: &mut View,
    every: Duration,
) -> anyhow::Result<()> {
    let keys = TaskTracker::new();
    loop {
        watcher.look(view).await;
        terminal.draw(|frame| frame::draw(frame, view))?;
        if keys.spawn_blocking(move || asked_to_end(every)).await?? {
            return Ok(());
        }
    }
}

/// Waits for a key, at most so long: whether it is one that ends.
fn asked_to_end(at_most: Duration) -> std::io::Result<bool> {
    if !event::poll(at_most)? {
        return Ok(false);
    }
    let Event::Key(key) = event::read()? else {
        return Ok(false);
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
        || (control && key.code == KeyCode::Char('c')))
}

/// A view as a picture: as high as it needs.
pub(super) fn draw(view: &View, width: u16) -> anyhow::Result<Buffer> {
    let mut terminal = Terminal::new(TestBackend::new(width, frame::height(view)))?;
    terminal.draw(|frame| frame::draw(frame, view))?;
    Ok(terminal.backend().buffer().clone())
}

/// A picture as an SVG document.
pub(super) fn picture(drawn: &Buffer) -> String {
    svg::of(drawn)
}

/// A picture in plain text.
pub(super) fn text(drawn: &Buffer) -> String {
    let width = usize::from(drawn.area.width).max(1);
    let lines = drawn.content.chunks(width).map(|cells| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_server_is_shown() {
        let mut view = View::new("http://there".to_owned());
        view.missed("the server does not answer".to_owned());
        let shown = text(&draw(&view, 80).unwrap());
        assert!(shown.contains("the server does not answer"), "{shown}");
        assert!(shown.contains("http://there"));
    }

    #[test]
    fn a_picture_is_escaped() {
        let mut view = View::new("http://a<b>&c".to_owned());
        view.missed("x".to_owned());
        let svg = picture(&draw(&view, 80).unwrap());
        assert!(svg.contains("&lt;b&gt;&amp;c") && !svg.contains("<b>"));
    }
}
