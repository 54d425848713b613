//! How a view looks.

use prost_types::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table};

use super::View;
use crate::domain::Fen;
use crate::grpc::pb;

const QUIET: Style = Style::new().fg(Color::DarkGray);
const GOOD: Style = Style::new().fg(Color::Green);
const BUSY: Style = Style::new().fg(Color::Cyan);
const WARN: Style = Style::new().fg(Color::Yellow);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const HEAD: Style = Style::new().fg(Color::Gray).add_modifier(Modifier::BOLD);

/// Lines that a view needs.
pub(super) fn height(view: &View) -> u16 {
    let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).min(60);
    let Some(seen) = view.seen() else { return 4 };
    let tables = lines(seen.campaigns.len()) + lines(seen.accounts.len());
    5 + tables + 6 + lines(people(seen).len().max(1)) + 2
}

/// Draws a view.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let Some(seen) = view.seen() else {
        let text = view.error().unwrap_or("looking …");
        let lines = vec![title(view, None), Line::styled(text.to_owned(), BAD)];
        frame.render_widget(Paragraph::new(lines), frame.area());
        return;
    };
    let rows = |count: usize| u16::try_from(count).unwrap_or(60).saturating_add(3);
    let waiting = people(seen);
    let [head, campaigns, accounts, people_area] = Layout::vertical([
        Constraint::Length(5),
        Constraint::Length(rows(seen.campaigns.len())),
        Constraint::Length(rows(seen.accounts.len())),
        Constraint::Min(3),
    ])
    .areas(frame.area());
    draw_head(frame, head, view, seen);
    draw_campaigns(frame, campaigns, seen);
    draw_accounts(frame, accounts, seen);
    let style = if waiting.is_empty() { GOOD } else { WARN };
    let block = Block::new()
        .borders(Borders::TOP)
        .title(Span::styled(" waits for people ", HEAD))
        .border_style(style);
    let lines = if waiting.is_empty() {
        vec![Line::styled("nothing", GOOD)]
    } else {
        waiting
    };
    frame.render_widget(Paragraph::new(lines).block(block), people_area);
}

fn title<'a>(view: &View, now: Option<Timestamp>) -> Line<'a> {
    let mut spans = vec![
        Span::styled("hongbao top", HEAD),
        Span::raw(format!("  {}  ", view.server())),
    ];
    if let Some(now) = now {
        spans.push(Span::styled(now.to_string(), QUIET));
    }
    Line::from(spans)
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, view: &View, seen: &pb::GetOverviewResponse) {
    let [lines, curve] =
        Layout::vertical([Constraint::Length(3), Constraint::Length(2)]).areas(area);
    let sum = |of: fn(&pb::OpenPackets) -> i64| -> i64 {
        let open = seen.campaigns.iter().filter_map(|c| c.open.as_ref());
        open.map(of).sum()
    };
    let status = match view.error() {
        Some(why) => Line::styled(format!("what is shown is old: {why}"), BAD),
        None => Line::from(vec![
            Span::raw("queued "),
            Span::styled(sum(|o| o.queued_count).to_string(), BUSY),
            Span::raw("   sending "),
            Span::styled(sum(|o| o.sending_count).to_string(), BUSY),
            Span::raw("   unknown "),
            count(sum(|o| o.unknown_count), WARN),
            Span::raw("   in review "),
            count(seen.review_count, BAD),
            Span::raw("   approvals "),
            count(seen.approval_count, WARN),
        ]),
    };
    let spent = i64::try_from(view.spent_now()).unwrap_or(i64::MAX);
    let rate = Line::from(vec![
        Span::raw("out "),
        Span::styled(format!("{} yuan/s", Fen(spent)), GOOD),
        Span::raw(format!("   {} packets/s", view.answered())),
    ]);
    let shown = Paragraph::new(vec![title(view, seen.now), status, rate]);
    frame.render_widget(shown, lines);
    let spent = view.spent();
    let last = spent.len().saturating_sub(usize::from(curve.width));
    let curve_of = Sparkline::default()
        .data(spent.get(last..).unwrap_or_default().to_vec())
        .style(GOOD);
    frame.render_widget(curve_of, curve);
}

fn count<'a>(count: i64, loud: Style) -> Span<'a> {
    Span::styled(count.to_string(), if count > 0 { loud } else { QUIET })
}

fn table<'a>(
    title: &'a str,
    head: &[&'a str],
    rows: Vec<Row<'a>>,
    widths: &[Constraint],
) -> Table<'a> {
    let head = head.iter().map(|name| Cell::from(*name));
    Table::new(rows, widths.to_vec())
        .header(Row::new(head).style(QUIET))
        .block(
            Block::new()
                .borders(Borders::TOP)
                .title(Span::styled(format!(" {title} "), HEAD))
                .border_style(QUIET),
        )
}

fn draw_campaigns(frame: &mut Frame<'_>, area: Rect, seen: &pb::GetOverviewResponse) {
    let rows = seen.campaigns.iter().map(|campaign| {
        let budget = campaign.budget.unwrap_or_default();
        let open = campaign.open.unwrap_or_default();
        let tripped = campaign.money_breaker.as_ref().is_some_and(|b| b.tripped);
        let (state, style) = match campaign.state() {
            _ if tripped => ("TRIPPED", BAD),
            pb::CampaignState::Active => ("ACTIVE", GOOD),
            pb::CampaignState::Paused => ("PAUSED", WARN),
            pb::CampaignState::Draft => ("DRAFT", QUIET),
            pb::CampaignState::Ended => ("ENDED", QUIET),
            pb::CampaignState::Unspecified => ("?", WARN),
        };
        Row::new(vec![
            Cell::from(campaign.campaign_id.to_string()),
            Cell::from(campaign.shop_id.to_string()),
            Cell::from(campaign.code.clone()),
            Cell::from(state).style(style),
            Cell::from(Fen(budget.available_fen).to_string()),
            Cell::from(Fen(budget.held_fen).to_string()),
            Cell::from(Fen(budget.transit_fen).to_string()),
            Cell::from(Fen(budget.paid_fen).to_string()),
            Cell::from(count(open.queued_count, BUSY)),
            Cell::from(count(open.sending_count, BUSY)),
            Cell::from(count(open.unknown_count, WARN)),
            Cell::from(count(open.review_count, BAD)),
        ])
    });
    let widths = [
        Constraint::Length(5),
        Constraint::Length(5),
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(11),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(11),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(6),
    ];
    let head = [
        "id", "shop", "campaign", "state", "free ¥", "held ¥", "sent ¥", "taken ¥", "queued",
        "sending", "unknown", "review",
    ];
    frame.render_widget(table("campaigns", &head, rows.collect(), &widths), area);
}

fn draw_accounts(frame: &mut Frame<'_>, area: Rect, seen: &pb::GetOverviewResponse) {
    let rows = seen.accounts.iter().map(|account| {
        let open = account.open.unwrap_or_default();
        let breaker = account.breaker.clone().unwrap_or_default();
        let tripped = account.money_breaker.as_ref().is_some_and(|b| b.tripped);
        let (state, style) = match (account.enabled, tripped, breaker.open) {
            (false, _, _) => ("DISABLED".to_owned(), WARN),
            (_, true, _) => ("TRIPPED".to_owned(), BAD),
            (_, _, true) => (breaker.code, BAD),
            (true, false, false) => ("OK".to_owned(), GOOD),
        };
        let quota = match account.day_fen {
            0 => "no bound".to_owned(),
            bound => format!("{} of {}", Fen(account.day_used_fen), Fen(bound)),
        };
        Row::new(vec![
            Cell::from(account.account_id.to_string()),
            Cell::from(account.mch_id.clone()),
            Cell::from(state).style(style),
            Cell::from(account.sends_per_second.to_string()),
            Cell::from(quota),
            Cell::from(count(open.queued_count, BUSY)),
            Cell::from(count(open.sending_count, BUSY)),
            Cell::from(count(open.unknown_count, WARN)),
            Cell::from(count(open.review_count, BAD)),
        ])
    });
    let widths = [
        Constraint::Length(5),
        Constraint::Length(12),
        Constraint::Length(16),
        Constraint::Length(6),
        Constraint::Fill(1),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(6),
    ];
    let head = [
        "id", "merchant", "state", "per s", "today ¥", "queued", "sending", "unknown", "review",
    ];
    frame.render_widget(table("accounts", &head, rows.collect(), &widths), area);
}

/// What somebody has to do, a line each.
fn people(seen: &pb::GetOverviewResponse) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for stop in &seen.stops {
        use pb::stop_scope::Scope;
        let what = match stop.scope.as_ref().and_then(|scope| scope.scope.as_ref()) {
            Some(Scope::AccountId(id)) => format!("account {id}"),
            Some(Scope::ShopId(id)) => format!("shop {id}"),
            Some(Scope::Everything(_)) | None => "everything".to_owned(),
        };
        let text = format!(
            "{what} is stopped by {}: {} (ResumeAll)",
            stop.actor, stop.reason
        );
        lines.push(Line::styled(text, BAD));
    }
    for campaign in &seen.campaigns {
        let breaker = campaign.money_breaker.as_ref();
        if let Some(breaker) = breaker.filter(|b| b.tripped) {
            let text = format!(
                "campaign {} has left its plan: {} (ActivateCampaign)",
                campaign.campaign_id, breaker.trip_reason
            );
            lines.push(Line::styled(text, BAD));
        }
    }
    for account in &seen.accounts {
        let breaker = account.breaker.as_ref();
        if let Some(breaker) = breaker.filter(|b| b.open) {
            let text = format!(
                "account {} is refused by the provider: {}",
                account.account_id, breaker.code
            );
            lines.push(Line::styled(text, WARN));
        }
    }
    let mut waiting = |count: i64, what: &str, since: Option<Timestamp>, style| {
        if count > 0 {
            let oldest = since.map_or_else(String::new, |at| format!(", the oldest since {at}"));
            lines.push(Line::styled(format!("{what}: {count}{oldest}"), style));
        }
    };
    let (reviews, approvals) = (seen.review_oldest_time, seen.approval_oldest_time);
    waiting(seen.review_count, "in review (ListReviews)", reviews, BAD);
    waiting(
        seen.approval_count,
        "approvals (ListApprovals)",
        approvals,
        WARN,
    );
    lines
}
