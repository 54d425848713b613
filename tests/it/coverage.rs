//! docs/coverage.md says where the seeds are. No cell is empty, and every test that it
//! names is there.

use std::path::{Path, PathBuf};

/// Rows of every table, by heading: cells, without the head and the line below it.
fn tables(text: &str) -> Vec<(String, Vec<Vec<String>>)> {
    let mut tables: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            tables.push((heading.to_owned(), Vec::new()));
        }
        let Some(inner) = line.strip_prefix('|').and_then(|l| l.strip_suffix('|')) else {
            continue;
        };
        let cells = inner
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        tables.last_mut().unwrap().1.push(cells);
    }
    for (_, rows) in &mut tables {
        rows.drain(..2);
    }
    tables
}

/// The files that may hold the module of a test's path, and the test's own name.
fn home(path: &str) -> (Vec<PathBuf>, String) {
    let mut parts: Vec<&str> = path.split("::").collect();
    let name = parts.pop().unwrap().to_owned();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it")
        .join(parts.join("/"));
    (vec![file.with_extension("rs"), file.join("mod.rs")], name)
}

/// Why a test that is named does not stand there, if it does not.
fn missing(path: &str) -> Option<String> {
    let (files, name) = home(path);
    let Some(text) = files
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
    else {
        return Some(format!("{path}: no such module"));
    };
    // Where its function stands, and where a list of `on_both!` names it.
    let function = |line: &str| {
        ["async fn ", "fn "].iter().any(|word| {
            line.strip_prefix(word)
                .and_then(|line| line.strip_prefix(name.as_str()))
                .is_some_and(|rest| rest.starts_with('('))
        })
    };
    let listed = format!("{name},");
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    if !lines.iter().any(|line| function(line)) {
        return Some(format!("{path}: no such function"));
    }
    // A test that is left out proves nothing.
    let ignored = lines
        .windows(2)
        .any(|two| two[0].starts_with("#[ignore") && (function(two[1]) || two[1] == listed));
    ignored.then(|| format!("{path}: is ignored"))
}

fn findings(text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (heading, rows) in tables(text) {
        for row in rows {
            let what = row.first().cloned().unwrap_or_default();
            if row.len() != 3
                || row
                    .iter()
                    .any(|cell| cell.is_empty() || cell == "-" || cell == "–")
            {
                findings.push(format!("{heading}: {what}: a cell is empty"));
                continue;
            }
            let tests: Vec<&str> = row[2].split('`').skip(1).step_by(2).collect();
            if tests.is_empty() {
                findings.push(format!("{heading}: {what}: no test"));
            }
            findings.extend(
                tests
                    .into_iter()
                    .filter_map(missing)
                    .map(|why| format!("{what}: {why}")),
            );
        }
    }
    findings
}

#[test]
fn every_part_of_the_seeds_has_a_test() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coverage.md");
    let text = std::fs::read_to_string(file).unwrap();
    let sizes: Vec<usize> = tables(&text).iter().map(|(_, rows)| rows.len()).collect();
    // The last seed has one call, with its three siblings.
    let least = [130, 85, 80, 45];
    assert_eq!(sizes.len(), least.len());
    assert!(
        sizes.iter().zip(least).all(|(size, least)| *size >= least),
        "{sizes:?}"
    );
    assert_eq!(findings(&text), Vec::<String>::new());
}

#[test]
fn what_is_not_covered_is_named() {
    let head = "## T\n| what | where | test |\n|---|---|---|\n";
    let said = |row: &str| findings(&format!("{head}{row}\n"));
    let good = "| a | b | `coverage::what_is_not_covered_is_named` |";
    assert_eq!(said(good), Vec::<String>::new());
    for (row, due) in [
        ("| a | | `coverage::findings` |", "a cell is empty"),
        ("| a | b | later |", "no test"),
        ("| a | b | `coverage::no_such_test` |", "no such function"),
        ("| a | b | `nowhere::x` |", "no such module"),
        (
            "| a | b | `measure::lists::pages_of_ten_million` |",
            "is ignored",
        ),
    ] {
        let found = said(row);
        assert!(
            found.len() == 1 && found[0].contains(due),
            "{row}: {found:?}"
        );
    }
}
