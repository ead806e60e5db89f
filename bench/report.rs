// SPDX-License-Identifier: GPL-3.0-only
//! What was measured, as tables in Markdown and as a chart.

use std::fmt::Write;

use super::clock::Times;
use super::takers::{Cycle, Trio};

/// Everything that was measured.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    growth: Vec<(usize, &'static str, Trio)>,
    memory: Vec<(&'static str, [u64; 2])>,
    instructions: Vec<(&'static str, [Option<u64>; 2])>,
    throughput: String,
}

/// A piece of work.
struct Row {
    work: String,
    floor_is: &'static str,
    /// The ratio to reach; zero where there is none.
    goal: f64,
    trio: Trio,
}

impl Report {
    pub fn row(&mut self, work: &str, floor_is: &'static str, goal: f64, trio: &Trio) {
        let row = Row { work: work.to_string(), floor_is, goal, trio: trio.clone() };
        eprintln!("{}", row.line());
        self.rows.push(row);
    }

    pub fn growth(&mut self, size: usize, cycle: &Cycle) {
        let Cycle { connect, keep, disconnect, .. } = cycle;
        for (phase, trio) in [("connect", connect), ("keep", keep), ("disconnect", disconnect)] {
            self.growth.push((size, phase, trio.clone()));
        }
    }

    pub fn memory(&mut self, work: &'static str, bytes: [u64; 2]) {
        self.memory.push((work, bytes));
    }

    pub fn instructions(&mut self, work: &'static str, counts: [Option<u64>; 2]) {
        self.instructions.push((work, counts));
    }

    pub fn throughput(&mut self, snaps: usize, trio: &Trio) {
        let rate =
            |times: &Times| times.median().map_or("–".into(), |all| format!("{:.0}", snaps as f64 / all));
        self.throughput = format!(
            "{snaps} snaps updated at once: {} a second with the floor, {} with ours, {} with the original. The time above is \
             the longest that any of them waited, from the start of the first.",
            rate(&trio.floor),
            rate(&trio.ours),
            rate(&trio.original)
        );
    }

    /// All tables.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| work | the floor | floor | ours | original | ours / floor | to reach | original / floor |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for row in &self.rows {
            text += &row.line();
            text.push('\n');
        }
        let _ = writeln!(text, "\n{}\n", self.throughput);
        text += &self.growth_table();
        text += "\n| peak memory | ours | original | to reach |\n| --- | --- | --- | --- |\n";
        for (work, [ours, original]) in &self.memory {
            let goal = if *work == "nothing to do" { "0.5 MB" } else { "2 MB" };
            let mb = |bytes: &u64| format!("{:.2} MB", *bytes as f64 / 1e6);
            let _ = writeln!(text, "| {work} | {} | {} | {goal} |", mb(ours), mb(original));
        }
        text += "\n| instructions in user space | ours | original |\n| --- | --- | --- |\n";
        for (work, [ours, original]) in &self.instructions {
            let words = |count: &Option<u64>| count.map_or("–".into(), |n| thousands(n as usize));
            let _ = writeln!(text, "| {work} | {} | {} |", words(ours), words(original));
        }
        text
    }

    /// What one entry costs at each size, beside what it costs the kernel.
    fn growth_table(&self) -> String {
        let mut text = String::from(
            "| an entry of | connect: ours, floor, original | keep | disconnect | ours: times that of 4,000 | the floor's |\n\
             | --- | --- | --- | --- | --- | --- |\n",
        );
        let at = |size: usize, phase: &str| {
            self.growth.iter().find(|(n, name, _)| (*n, *name) == (size, phase)).map(|(_, _, trio)| trio)
        };
        let each = |times: &Times, size: usize| times.median().map(|all| all * 1e6 / size as f64);
        let phases = ["connect", "keep", "disconnect"];
        for (size, _, _) in self.growth.iter().filter(|(_, phase, _)| *phase == "connect") {
            let _ = write!(text, "| {} ", thousands(*size));
            for trio in phases.iter().filter_map(|phase| at(*size, phase)) {
                let words = [&trio.ours, &trio.floor, &trio.original]
                    .map(|times| each(times, *size).map_or("–".into(), |us| format!("{us:.2}")));
                let _ = write!(text, "| {} µs ", words.join(", "));
            }
            for which in [|trio: &Trio| trio.ours.clone(), |trio: &Trio| trio.floor.clone()] {
                let words = phases.map(|phase| {
                    let cost = |size| at(size, phase).and_then(|trio| each(&which(trio), size));
                    match (cost(*size), cost(4_000)) {
                        (Some(here), Some(there)) => format!("{:.2}", here / there),
                        _ => "–".into(),
                    }
                });
                let _ = write!(text, "| {} ", words.join(", "));
            }
            text += "|\n";
        }
        text
    }

    /// Two bars for each piece of work on a logarithmic scale, and a mark where ours should be.
    pub fn svg(&self) -> String {
        const LEFT: f64 = 310.0;
        const DECADE: f64 = 150.0;
        let rows: Vec<_> = self.rows.iter().filter(|row| row.goal > 0.0).collect();
        let height = 44 + rows.len() * 40;
        let x = |ratio: f64| LEFT + DECADE * ratio.max(0.5).log10().max(0.0);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"860\" height=\"{height}\" fill=\"#ffffff\"/>\n\
             <text x=\"8\" y=\"20\" font-weight=\"bold\">Time, in multiples of the bare system calls</text>\n\
             <text x=\"{LEFT}\" y=\"20\"><tspan fill=\"#2a6f4e\">■ ours</tspan> <tspan fill=\"#b9b3a6\">■ Debian's original</tspan> \
             <tspan fill=\"#c0392b\">| to reach</tspan></text>\n"
        );
        for decade in [1.0, 10.0, 100.0, 1000.0] {
            let at = x(decade);
            let _ = writeln!(
                text,
                "<line x1=\"{at:.0}\" y1=\"34\" x2=\"{at:.0}\" y2=\"{height}\" stroke=\"#e4e0d8\"/>\
                 <text x=\"{:.0}\" y=\"34\" fill=\"#8a8578\" font-size=\"10\">{decade}</text>",
                at + 3.0
            );
        }
        for (k, row) in rows.iter().enumerate() {
            let y = 44 + k * 40;
            let _ = writeln!(text, "<text x=\"8\" y=\"{}\">{}</text>", y + 19, row.work);
            let bars = [(&row.trio.ours, "#2a6f4e"), (&row.trio.original, "#b9b3a6")];
            for (lane, (times, colour)) in bars.iter().enumerate() {
                let Some(ratio) = row.ratio(times) else { continue };
                let (top, width) = (y + 4 + lane * 14, (x(ratio) - LEFT).max(1.0));
                let _ = writeln!(
                    text,
                    "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{width:.0}\" height=\"12\" fill=\"{colour}\"/>\
                     <text x=\"{:.0}\" y=\"{}\" font-size=\"10\">{}</text>",
                    LEFT + width + 4.0,
                    top + 10,
                    short(ratio)
                );
            }
            let goal = x(row.goal);
            let _ = writeln!(
                text,
                "<line x1=\"{goal:.0}\" y1=\"{}\" x2=\"{goal:.0}\" y2=\"{}\" stroke=\"#c0392b\" stroke-width=\"2\"/>",
                y + 2,
                y + 18
            );
        }
        text += "</svg>\n";
        text
    }
}

impl Row {
    fn ratio(&self, times: &Times) -> Option<f64> {
        Some(times.median()? / self.trio.floor.median()?)
    }

    /// Medians, and the smallest values beside them.
    fn line(&self) -> String {
        let Trio { floor, ours, original } = &self.trio;
        let time = |times: &Times| match (times.median(), times.least()) {
            (Some(median), Some(least)) => format!("{} ({})", span(median), span(least)),
            _ => "–".into(),
        };
        let ratio = |times: &Times| match (self.ratio(times), times.least(), floor.least()) {
            (Some(ratio), Some(least), Some(floor)) => format!("{} ({})", short(ratio), short(least / floor)),
            _ => "–".into(),
        };
        let goal = if self.goal > 0.0 { format!("≤ {}", self.goal) } else { "–".into() };
        format!(
            "| {} | {} | {} | {} | {} | **{}** | {goal} | {} |",
            self.work,
            self.floor_is,
            time(floor),
            time(ours),
            time(original),
            ratio(ours),
            ratio(original)
        )
    }
}

fn span(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1e-1 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.0} ms", s * 1e3),
    }
}

fn short(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }
}

/// `12,345`
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
