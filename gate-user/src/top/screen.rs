//! Rows on a screen of any size.

use std::{collections::VecDeque, time::Duration};

use ratatui::{
    Frame,
    crossterm::event::KeyCode,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Cell, Paragraph, Row as Cells, Sparkline, Table},
};

use super::rates::{Kind, List, Rates, Row};
use crate::report::{State, Verdicts};

/// A screen with less than this shows the totals alone.
const LISTS: (u16, u16) = (40, 12);
/// One with this shows two lists side by side above the chosen one.
const OVERVIEW: (u16, u16) = (78, 20);
/// How many moments the curves have.
const HISTORY: usize = 300;
/// How wide a column of numbers is.
const NUMBER: u16 = 9;
/// How wide one of names is, which a line of a narrow screen shares with the numbers.
const NAME: Constraint = Constraint::Max(24);

/// What somebody chose to see, and what was.
pub(super) struct Screen {
    interval: Duration,
    chosen: Kind,
    /// How many rows of the chosen list are above the screen.
    skipped: usize,
    totals: bool,
    paused: bool,
    help: bool,
    /// Packets a second that were refused, the last one first.
    refused: VecDeque<u64>,
    /// The moment that the curve ends with.
    last: Option<jiff::Timestamp>,
}

impl Screen {
    pub(super) const fn new(interval: Duration) -> Self {
        Self {
            interval,
            chosen: Kind::Sources,
            skipped: 0,
            totals: false,
            paused: false,
            help: false,
            refused: VecDeque::new(),
            last: None,
        }
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }

    /// A key was pressed.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other keys that there are mean nothing here"
    )]
    pub(super) fn key(&mut self, code: KeyCode) {
        let at = Kind::ALL.iter().position(|it| *it == self.chosen);
        let at = at.unwrap_or_default();
        let count = Kind::ALL.len();
        let next = match code {
            KeyCode::Tab | KeyCode::Right => Some((at + 1) % count),
            KeyCode::BackTab | KeyCode::Left => Some((at + count - 1) % count),
            KeyCode::Char(digit @ '1'..='6') => Some(usize::from(digit as u8 - b'1')),
            _ => None,
        };
        if let Some(kind) = next.and_then(|it| Kind::ALL.get(it)) {
            self.chosen = *kind;
            self.skipped = 0;
        }
        match code {
            KeyCode::Down => self.skipped = self.skipped.saturating_add(1),
            KeyCode::Up => self.skipped = self.skipped.saturating_sub(1),
            KeyCode::PageDown => self.skipped = self.skipped.saturating_add(10),
            KeyCode::PageUp => self.skipped = self.skipped.saturating_sub(10),
            KeyCode::Home => self.skipped = 0,
            KeyCode::Char('t') => self.totals = !self.totals,
            KeyCode::Char(' ' | 'p') => self.paused = !self.paused,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            _ => {}
        }
    }

    /// Draws everything that there is room for.
    pub(super) fn draw(&mut self, rates: &Rates, frame: &mut Frame<'_>) {
        self.remember(rates);
        let area = frame.area();
        let problems = u16::from(!rates.problems.is_empty());
        let [head, problem, totals, rest, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(problems),
            Constraint::Length(4),
            Constraint::Min(0),
            Constraint::Length(u16::from(area.height > 6)),
        ])
        .areas(area);
        frame.render_widget(self.head(rates), head);
        if let Some(first) = rates.problems.first() {
            let more = match rates.problems.len() {
                1 => String::new(),
                many => format!(" ({} more: `gate status`)", many - 1),
            };
            let text = format!("! {first}{more}");
            frame.render_widget(Paragraph::new(text).style(alarmed()), problem);
        }
        draw_totals(rates, totals, frame);
        if self.help {
            frame.render_widget(Paragraph::new(HELP), rest);
        } else if fits(area, LISTS) {
            self.lists(rates, fits(area, OVERVIEW), rest, frame);
        }
        // Licences ask for their words, and help has all keys.
        let attribution = rates.attribution.join(" ");
        let narrow = usize::from(area.width) < KEYS.len() + 2 + attribution.len();
        let keys = if narrow { FEW_KEYS } else { KEYS };
        let foot_text = format!("{keys}  {attribution}");
        frame.render_widget(Paragraph::new(foot_text).style(dim()), foot);
    }

    /// What the curve shows.
    fn remember(&mut self, rates: &Rates) {
        if self.last == Some(rates.at) {
            return;
        }
        self.last = Some(rates.at);
        let [_, refused, ..] = rates.all.rate.unwrap_or_default().by_verdict();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the height of a curve: rates are not negative, and as fast as light"
        )]
        self.refused.push_front(refused.round() as u64);
        self.refused.truncate(HISTORY);
    }

    fn head(&self, rates: &Rates) -> Line<'static> {
        let state = rates.state.map_or("unknown", State::name);
        let style = match rates.state {
            Some(State::Ok) => Style::new().fg(Color::Green),
            _ => alarmed(),
        };
        let generation = match rates.generation {
            Some(number) => format!("  generation {number}"),
            None => String::new(),
        };
        let how = if self.paused {
            "paused".to_owned()
        } else {
            format!("every {}", span(self.interval))
        };
        Line::from(vec![
            Span::styled("gate ", Style::new().add_modifier(Modifier::BOLD)),
            Span::styled(state, style.add_modifier(Modifier::BOLD)),
            Span::raw(generation),
            Span::styled(format!("  {:.0}  {how}", rates.at), dim()),
        ])
    }

    fn lists(&mut self, rates: &Rates, overview: bool, area: Rect, frame: &mut Frame<'_>) {
        let list = |kind: Kind| rates.lists.iter().find(|it| it.kind == kind);
        let others: Vec<Kind> = [Kind::Classes, Kind::Countries, Kind::Pools]
            .into_iter()
            .filter(|it| *it != self.chosen)
            .take(2)
            .collect();
        let above = if overview { area.height / 3 } else { 0 };
        let curve = if overview && area.height > 20 { 4 } else { 0 };
        let [above, middle, below] = Layout::vertical([
            Constraint::Length(curve),
            Constraint::Length(above),
            Constraint::Min(0),
        ])
        .areas(area);
        if curve > 0 {
            let data: Vec<u64> = self.refused.iter().rev().copied().collect();
            let skip = data.len().saturating_sub(usize::from(above.width));
            let most = data.iter().skip(skip).max().copied().unwrap_or(0);
            let block = Block::new().title(format!("refused a second, {most} at most"));
            let curve = Sparkline::default()
                .block(block.style(dim()))
                .style(Style::new().fg(Color::Red))
                .data(data.iter().skip(skip));
            frame.render_widget(curve, above);
        }
        if overview {
            let halves: [Rect; 2] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)])
                .spacing(3)
                .areas(middle);
            for (kind, half) in others.into_iter().zip(halves) {
                if let Some(list) = list(kind) {
                    draw_small(list, half, frame);
                }
            }
        }
        if let Some(list) = list(self.chosen) {
            let shown = usize::from(below.height.saturating_sub(2));
            self.skipped = self.skipped.min(list.rows.len().saturating_sub(shown));
            self.chosen_list(list, rates, below, frame);
        }
    }

    fn chosen_list(&self, list: &List, rates: &Rates, area: Rect, frame: &mut Frame<'_>) {
        let what = if self.totals {
            "packets"
        } else {
            "packets a second"
        };
        let title = if list.kind == Kind::Sources && !rates.sources_counted {
            "sources are not counted: `[counters] sources`".to_owned()
        } else {
            format!("{} ({}), {what}", list.kind.name(), list.rows.len())
        };
        let headings = Verdicts::default().named().map(|(name, _)| name);
        let header = std::iter::once(list.kind.name()).chain(headings);
        let rows = list.rows.iter().skip(self.skipped).map(|row| {
            let numbers = if self.totals {
                row.packets.named().map(|(_, packets)| short(packets))
            } else {
                rates_of(row)
            };
            numbers_row(row.name.clone(), numbers)
        });
        let widths = std::iter::once(NAME).chain([Constraint::Length(NUMBER); 5]);
        let header = numbers_header(header);
        let table = Table::new(rows, widths)
            .header(header)
            .block(Block::new().title(title).style(Style::new()));
        frame.render_widget(table, area);
    }
}

const KEYS: &str = "q end  Tab list  t totals  p pause  ? help";
const FEW_KEYS: &str = "q end  ? help";
const HELP: &str = "\
Tab, arrows, 1 to 6   another list: sources, countries, classes, pools, interfaces, reasons
up, down, page        rows further down
t                     packets instead of packets a second
p                     pause, and go on
?                     this, and back
q, Esc, Ctrl-C        end

Every number is one of `gate counters`, or the difference of two.";

fn fits(area: Rect, (width, height): (u16, u16)) -> bool {
    area.width >= width && area.height >= height
}

fn draw_totals(rates: &Rates, area: Rect, frame: &mut Frame<'_>) {
    let headings = Verdicts::default().named().map(|(name, _)| name);
    if area.width < LISTS.0 {
        // A line each, as many as there is room for, those that are refused first.
        let [passed, refused, observed, tagged, unparsed] = rates_of(&rates.all);
        let [h_passed, h_refused, h_observed, h_tagged, h_unparsed] = headings;
        let lines = [
            (h_refused, refused),
            (h_tagged, tagged),
            (h_passed, passed),
            (h_observed, observed),
            (h_unparsed, unparsed),
        ];
        let lines: Vec<Line<'_>> = lines
            .into_iter()
            .map(|(name, rate)| Line::from(format!("{rate} {name}/s")))
            .collect();
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let rows = [
        numbers_row("a second".to_owned(), rates_of(&rates.all)),
        numbers_row(
            "in all".to_owned(),
            rates.all.packets.named().map(|(_, packets)| short(packets)),
        ),
    ];
    let widths = std::iter::once(NAME).chain([Constraint::Length(NUMBER); 5]);
    let header = numbers_header(std::iter::once("packets").chain(headings));
    frame.render_widget(Table::new(rows, widths).header(header), area);
}

/// A list with its rates alone.
fn draw_small(list: &List, area: Rect, frame: &mut Frame<'_>) {
    let rows = list.rows.iter().map(|row| {
        let rate = row
            .rate
            .map_or_else(|| "-".to_owned(), |it| rate_text(it.all()));
        Cells::new([
            Cell::from(row.name.clone()),
            Cell::from(Line::from(rate).right_aligned()),
            Cell::from(Line::from(short(row.packets.all())).right_aligned()),
        ])
    });
    let header = Cells::new([
        Cell::from(list.kind.name()),
        Cell::from(Line::from("a second").right_aligned()),
        Cell::from(Line::from("in all").right_aligned()),
    ]);
    let widths = [
        Constraint::Min(12),
        Constraint::Length(NUMBER),
        Constraint::Length(NUMBER),
    ];
    let table = Table::new(rows, widths).header(header.style(heading()));
    frame.render_widget(table, area);
}

fn numbers_row(name: String, numbers: [String; 5]) -> Cells<'static> {
    let cell = |number: String| {
        let quiet = matches!(&*number, "0" | "-");
        let style = if quiet { dim() } else { Style::new() };
        Cell::from(Line::from(number).right_aligned()).style(style)
    };
    Cells::new(std::iter::once(Cell::from(name)).chain(numbers.map(cell)))
}

fn numbers_header<'a>(names: impl Iterator<Item = &'a str>) -> Cells<'a> {
    let cells = names.enumerate().map(|(index, name)| match index {
        0 => Cell::from(name),
        _ => Cell::from(Line::from(name).right_aligned()),
    });
    Cells::new(cells).style(heading())
}

fn rates_of(row: &Row) -> [String; 5] {
    match row.rate {
        Some(rate) => rate.by_verdict().map(rate_text),
        None => [(); 5].map(|()| "-".to_owned()),
    }
}

/// A rate in at most seven characters.
fn rate_text(rate: f64) -> String {
    match rate {
        0.0 => "0".to_owned(),
        _ if rate < 10.0 => format!("{rate:.1}"),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rates are not negative, and far below 2^64"
        )]
        _ => short(rate.round() as u64),
    }
}

/// A number in at most seven characters, exact below a million.
fn short(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000_000, "P"),
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
    ];
    let unit = UNITS.iter().find(|(size, _)| number >= *size);
    match unit {
        None => number.to_string(),
        Some((size, unit)) => {
            // Rounded down: what is shown was counted.
            let hundredths = number / (size / 100);
            format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100)
        }
    }
}

fn span(interval: Duration) -> String {
    if interval.subsec_millis() == 0 {
        format!("{} s", interval.as_secs())
    } else {
        format!("{} ms", interval.as_millis())
    }
}

const fn dim() -> Style {
    Style::new().fg(Color::DarkGray)
}

const fn heading() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

const fn alarmed() -> Style {
    Style::new().fg(Color::Red)
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;

    fn rates() -> Rates {
        let refused = Verdicts {
            refused: 1_234_567,
            tagged: 12,
            ..Verdicts::default()
        };
        let row = |name: &str| Row {
            name: name.to_owned(),
            packets: refused,
            rate: Some(super::super::rates::Rate::default()),
        };
        Rates {
            at: "2026-06-01T00:00:00Z".parse().unwrap(),
            state: Some(State::Bypassed),
            generation: Some(7),
            problems: vec!["bypassed until 2026-06-01T00:30:00Z".to_owned()],
            all: row("all"),
            lists: Kind::ALL
                .into_iter()
                .map(|kind| List {
                    kind,
                    rows: (0..40)
                        .map(|it| row(&format!("{} {it}", kind.name())))
                        .collect(),
                })
                .collect(),
            sources_counted: true,
            attribution: vec!["by somebody".to_owned()],
        }
    }

    fn drawn(screen: &mut Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(&rates(), frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn every_size_is_drawn() {
        let mut screen = Screen::new(Duration::from_secs(1));
        for width in (1..120).step_by(3) {
            for height in 1..60 {
                drawn(&mut screen, width, height);
            }
        }
        let tiny = drawn(&mut screen, 10, 5);
        assert!(tiny.contains("gate bypas"), "{tiny}");
        assert!(tiny.contains("0 refused/"), "{tiny}");
    }

    #[test]
    fn a_usual_screen_has_state_totals_classes_countries_and_sources() {
        let mut screen = Screen::new(Duration::from_secs(1));
        let page = drawn(&mut screen, 80, 24);
        for text in [
            "gate bypassed  generation 7",
            "! bypassed until",
            "1.23M",
            "classes 0",
            "countries 0",
            "sources (40), packets a second",
            "sources 0",
            "q end",
            "by somebody",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
    }

    #[test]
    fn keys_choose() {
        let mut screen = Screen::new(Duration::from_secs(1));
        screen.key(KeyCode::Char('4'));
        screen.key(KeyCode::Char('t'));
        for _ in 0..100 {
            screen.key(KeyCode::PageDown);
        }
        let page = drawn(&mut screen, 80, 24);
        assert!(page.contains("pools (40), packets\u{20}"), "{page}");
        assert!(
            page.contains("pools 39") && !page.contains("pools 1 "),
            "{page}"
        );
        screen.key(KeyCode::Home);
        screen.key(KeyCode::BackTab);
        let page = drawn(&mut screen, 80, 24);
        assert!(page.contains("classes (40)"), "{page}");
        screen.key(KeyCode::Char('?'));
        assert!(drawn(&mut screen, 80, 24).contains("this, and back"));
    }

    #[test]
    fn numbers_are_short_and_never_too_large() {
        for (number, text) in [
            (0, "0"),
            (999_999, "999999"),
            (1_000_000, "1.00M"),
            (1_999_999_999, "1.99G"),
            (u64::MAX, "18446.74P"),
        ] {
            assert_eq!(short(number), text);
        }
        assert_eq!(rate_text(0.25), "0.2");
        assert_eq!(rate_text(12.6), "13");
    }
}
