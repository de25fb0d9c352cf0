//! The terminal: its width, its colours, and the few shapes that are made of letters.

use std::env;
use std::io::IsTerminal;

/// Where nothing says how wide it is.
const WIDTH: usize = 100;
const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a screen is to terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    pub width: usize,
    pub colour: bool,
}

impl Terminal {
    /// As standard output can show it: colours only for a terminal, unless `NO_COLOR` is set to anything.
    pub fn of_stdout() -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let given = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let seen = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self {
            width: given.or_else(seen).unwrap_or(WIDTH),
            colour: std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb,
        }
    }
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Strong,
    Faint,
    Good,
    Warn,
    Bad,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// Text that grows line by line.
#[derive(Debug)]
pub(crate) struct Page {
    pub terminal: Terminal,
    text: String,
}

impl Page {
    pub fn new(terminal: Terminal) -> Self {
        Self {
            terminal,
            text: String::new(),
        }
    }

    pub fn line(&mut self, pieces: &[(Style, &str)]) {
        let mut line = String::new();
        for (style, text) in pieces {
            let text = harmless(text);
            if self.terminal.colour && *style != Style::Plain && !text.trim().is_empty() {
                line += &format!("{}{text}\x1b[0m", style.code());
            } else {
                line += &text;
            }
        }
        self.text += line.trim_end();
        self.text.push('\n');
    }

    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A text in as many lines as it needs, each but the first behind as much space as the first's `lead` takes.
    pub fn paragraph(&mut self, lead: &str, style: Style, text: &str) {
        let indent = lead.chars().count();
        let mut lead = lead.to_owned();
        for line in wrapped(&harmless(text), self.terminal.width.saturating_sub(indent)) {
            self.line(&[(Style::Plain, &lead), (style, &line)]);
            lead = " ".repeat(indent);
        }
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

/// Without what would move the cursor or change colours: messages quote what pods and other programs say.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Broken at spaces; a word that is too long has a line to itself, so that it can be copied.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The width of each column: that of its widest cell.
pub(crate) fn widths<const COLUMNS: usize>(
    head: &[String; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> [usize; COLUMNS] {
    let mut widths = [0; COLUMNS];
    for row in std::iter::once(head).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

/// `████░░░░`: the whole of a share. Nothing that is left shows as empty, nothing spent as full.
#[expect(clippy::cast_sign_loss, reason = "a share is not negative")]
pub(crate) fn bar(share: f64, width: usize) -> String {
    let share = share.clamp(0.0, 1.0);
    let mut filled = (share * width as f64).round() as usize;
    if share < 1.0 {
        filled = filled.min(width.saturating_sub(1));
    }
    if share > 0.0 {
        filled = filled.max(1);
    }
    "█".repeat(filled) + &"░".repeat(width.saturating_sub(filled))
}

/// `▁▁▂█·▁`: each column the highest of its share of the points, with a dot where nothing is known. Full height is the
/// highest point, and at least `least`.
#[expect(clippy::cast_sign_loss, reason = "a height is not negative")]
pub(crate) fn spark(points: &[Option<f64>], columns: usize, least: f64) -> String {
    let columns = columns.min(points.len());
    let top = points.iter().flatten().copied().fold(least, f64::max);
    (0..columns)
        .map(|column| {
            let share = &points[points.len() * column / columns..points.len() * (column + 1) / columns];
            match share.iter().flatten().copied().reduce(f64::max) {
                Some(highest) => {
                    let height = (highest.max(0.0) / top * (EIGHTHS.len() - 1) as f64).round() as usize;
                    EIGHTHS[height.min(EIGHTHS.len() - 1)]
                }
                None => '·',
            }
        })
        .collect()
}

/// `40s`, `23m`, `5h`, `3d`: one unit.
pub(crate) fn ago(seconds: i64) -> String {
    match seconds.max(0) {
        seconds if seconds < 120 => format!("{seconds}s"),
        seconds if seconds < 7_200 => format!("{}m", seconds / 60),
        seconds if seconds < 172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_or_empty_only_when_that_is_so() {
        assert_eq!(bar(0.61, 10), "██████░░░░");
        assert_eq!(bar(0.999, 4), "███░");
        assert_eq!(bar(0.001, 4), "█░░░");
        assert_eq!((bar(1.0, 3), bar(-0.2, 3)), ("███".to_owned(), "░░░".to_owned()));
    }

    #[test]
    fn a_sparkline_keeps_the_highest_and_says_where_nothing_is_known() {
        assert_eq!(spark(&[Some(0.0), None, Some(14.0), Some(7.0)], 48, 1.0), "▁·█▅");
        assert_eq!(spark(&[Some(0.0), None, Some(14.0), Some(7.0)], 2, 1.0), "▁█");
        // A quiet day is flat: what is far below the sustainable rate is no peak.
        assert_eq!(spark(&[Some(0.0), Some(0.01)], 48, 1.0), "▁▁");
        assert_eq!(spark(&[], 48, 1.0), "");
    }

    #[test]
    fn what_a_pod_says_cannot_steer_the_terminal() {
        let mut page = Page::new(Terminal {
            width: 40,
            colour: true,
        });
        page.line(&[(Style::Bad, "a\x1b[2Jb"), (Style::Plain, "\tc")]);
        assert_eq!(page.into_text(), "\x1b[31ma [2Jb\x1b[0m c\n");
    }

    #[test]
    fn lines_are_broken_at_spaces_and_never_within_a_word() {
        let mut page = Page::new(Terminal {
            width: 14,
            colour: false,
        });
        page.paragraph("  → ", Style::Plain, "look at https://example.com/long for more");
        assert_eq!(
            page.into_text(),
            "  → look at\n    https://example.com/long\n    for more\n"
        );
    }

    #[test]
    fn ages_have_one_unit() {
        let seconds = [-5, 40, 1_400, 18_000, 259_200];
        assert_eq!(seconds.map(ago), ["0s", "40s", "23m", "5h", "3d"]);
    }
}
