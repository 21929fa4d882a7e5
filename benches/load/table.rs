//! A table of figures for people.

use std::io::Write as _;

const HEAD: [&str; 6] = ["figure", "service", "limit", "ratio", "target", "aim"];

/// Prints the head and rows of a table, between empty lines.
pub(crate) fn print(rows: &[[String; 6]]) {
    let rule = HEAD.map(|_| "---".to_owned());
    let rows: Vec<[String; 6]> = [row(HEAD), rule].into_iter().chain(rows.iter().cloned()).collect();
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    say("");
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        say(&format!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
    }
    say("");
}

/// A figure with this many decimals, for JSON.
pub(crate) fn rounded(figure: Option<f64>, decimals: i32) -> Option<f64> {
    figure.map(|figure| (figure * 10_f64.powi(decimals)).round() / 10_f64.powi(decimals))
}

/// Prints a line. A closed output does not end the run.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

pub(crate) fn row(cells: [&str; 6]) -> [String; 6] {
    cells.map(str::to_owned)
}

pub(crate) fn rate(figure: Option<f64>) -> String {
    unit(figure, 0, "/s")
}

pub(crate) fn unit(figure: Option<f64>, decimals: usize, unit: &str) -> String {
    figure.map_or_else(|| "not measured".to_owned(), |figure| format!("{figure:.decimals$} {unit}"))
}

pub(crate) fn shown(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(|| "not measured".to_owned(), |figure| format!("{figure:.decimals$}"))
}
