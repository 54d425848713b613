//! Reads Rust source as far as [`super`] needs it: which paths does it name, and in which line.

use std::path::Path;

/// A path as the source names it, resolved to start with `crate` or with another crate's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
}

impl Named {
    pub(super) fn ends_with(&self, suffix: &[&str]) -> bool {
        self.segments.len() >= suffix.len()
            && suffix
                .iter()
                .rev()
                .zip(self.segments.iter().rev())
                .all(|(a, b)| a == b)
    }

    /// Empty where there is none.
    pub(super) fn segment(&self, index: usize) -> &str {
        self.segments.get(index).map_or("", String::as_str)
    }
}

/// Every path that `text` names, seen from the module that it is the body of.
pub(super) fn paths(text: &str, module: &[String]) -> Vec<Named> {
    named_paths(&tokens(&blank_comments_and_literals(text)), module)
}

/// `src/store/entity.rs` is `["store", "entity"]`; the two roots are `[]`.
pub(super) fn module_path(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix("src").unwrap_or(file).with_extension("");
    let mut module: Vec<String> = inside
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module.last().is_some_and(|last| last == "mod")
        || matches!(&*module, [one] if one == "main" || one == "lib")
    {
        module.pop();
    }
    module
}

/// Replaces what the compiler does not read as code by spaces; lines stay where they are.
fn blank_comments_and_literals(text: &str) -> String {
    let source: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < source.len() {
        let end = end_of_comment_or_literal(&source, at);
        if end == at {
            out.extend(source.get(at));
            // A word is copied whole, so that the `r` of `for"` is not taken for the start of a raw string.
            let word = source.iter().skip(at).take_while(|c| is_word(**c)).count();
            out.extend(source.iter().skip(at + 1).take(word.saturating_sub(1)));
            at += word.max(1);
        } else {
            out.extend(
                source
                    .iter()
                    .skip(at)
                    .take(end - at)
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the comment or literal that starts at `at` ends; `at` itself if none starts there.
fn end_of_comment_or_literal(source: &[char], at: usize) -> usize {
    let char_at = |i: usize| source.get(i).copied().unwrap_or('\0');
    let starts = |what: &str| what.chars().enumerate().all(|(i, c)| char_at(at + i) == c);
    if starts("//") {
        return source
            .iter()
            .skip(at)
            .position(|c| *c == '\n')
            .map_or(source.len(), |n| at + n);
    }
    if starts("/*") {
        return end_of_block_comment(source, at);
    }
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|p| {
        let mut i = at + p.len();
        while p.ends_with('r') && char_at(i) == '#' {
            i += 1;
        }
        starts(p) && char_at(i) == '"'
    });
    if let Some(prefix) = prefix {
        return end_of_string(source, at + prefix.len(), prefix.ends_with('r'));
    }
    // 'x' and '\n' are characters, 'static is a lifetime.
    if char_at(at) == '\'' {
        if char_at(at + 1) == '\\' {
            return source
                .iter()
                .skip(at + 3)
                .position(|c| *c == '\'')
                .map_or(source.len(), |n| at + 4 + n);
        }
        if char_at(at + 2) == '\'' {
            return at + 3;
        }
    }
    at
}

/// Block comments nest.
fn end_of_block_comment(source: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < source.len() {
        match (source.get(at), source.get(at + 1)) {
            (Some('/'), Some('*')) => (depth, at) = (depth + 1, at + 2),
            (Some('*'), Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// `start` is at the first `#` or at the quote.
fn end_of_string(source: &[char], start: usize, raw: bool) -> usize {
    let hashes = source.iter().skip(start).take_while(|c| **c == '#').count();
    let mut at = start + hashes + 1;
    while at < source.len() {
        match source.get(at) {
            Some('\\') if !raw => at += 2,
            Some('"')
                if source
                    .iter()
                    .skip(at + 1)
                    .take(hashes)
                    .filter(|c| **c == '#')
                    .count()
                    == hashes =>
            {
                return at + 1 + hashes;
            }
            _ => at += 1,
        }
    }
    at
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Mark(char),
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    for (index, text) in code.lines().enumerate() {
        let line = index + 1;
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let (token, length) = if is_word(first) {
                let word = rest.strip_prefix("r#").unwrap_or(rest);
                let end = word.find(|c| !is_word(c)).unwrap_or(word.len());
                let (name, _) = word.split_at(end);
                (Token::Word(name.to_owned()), rest.len() - word.len() + end)
            } else if rest.starts_with("::") {
                (Token::Colons, 2)
            } else {
                (Token::Mark(first), first.len_utf8())
            };
            found.push((line, token));
            rest = rest.get(length..).unwrap_or("").trim_start();
        }
    }
    found
}

/// Every path of two segments or more, in `use` trees and in code alike.
fn named_paths(tokens: &[(usize, Token)], module: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    // Modules written in place, each with the brace depth at which it opened.
    let (mut inline, mut depth): (Vec<(usize, String)>, usize) = (Vec::new(), 0);
    let mut at = 0;
    while let Some((_, token)) = tokens.get(at) {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => {
                depth = depth.saturating_sub(1);
                inline.retain(|(opened, _)| *opened < depth + 1);
            }
            Token::Word(word) if word == "mod" => {
                if let (Some((_, Token::Word(name))), Some((_, Token::Mark('{')))) =
                    (tokens.get(at + 1), tokens.get(at + 2))
                {
                    depth += 1;
                    inline.push((depth, name.clone()));
                    at += 2;
                }
            }
            Token::Word(_) => {
                let here: Vec<String> = module
                    .iter()
                    .chain(inline.iter().map(|(_, name)| name))
                    .cloned()
                    .collect();
                let mut paths = Vec::new();
                at = path_tree(tokens, at, &[], &mut paths);
                found.extend(paths.into_iter().filter_map(|path| resolve(path, &here)));
                continue;
            }
            Token::Colons | Token::Mark(_) => {}
        }
        at += 1;
    }
    found
}

/// Reads the path that starts at `at`, with its braces if it is a `use` tree; returns where it ends.
fn path_tree(
    tokens: &[(usize, Token)],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Named>,
) -> usize {
    let mut segments = prefix.to_vec();
    let mut line = tokens.get(at).map_or(0, |(line, _)| *line);
    while let Some((here, token)) = tokens.get(at) {
        match token {
            Token::Word(word) => {
                line = *here;
                segments.push(word.clone());
                at += 1;
            }
            Token::Mark('*') => {
                segments.push("*".to_owned());
                at += 1;
            }
            Token::Mark('{') => return tree_members(tokens, at + 1, &segments, found),
            // `Vec::<u8>::new`: the path so far is what matters.
            Token::Colons | Token::Mark(_) => break,
        }
        if tokens.get(at).map(|(_, token)| token) != Some(&Token::Colons) {
            break;
        }
        at += 1;
    }
    found.push(Named { line, segments });
    at
}

/// The inside of `{a, b::c, d::{e}}`; returns where it ends, after the closing brace.
fn tree_members(
    tokens: &[(usize, Token)],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Named>,
) -> usize {
    while let Some((_, token)) = tokens.get(at) {
        match token {
            Token::Mark('}') => return at + 1,
            Token::Word(word) if word == "as" => at += 2,
            Token::Word(word) if word == "self" => {
                let line = tokens.get(at).map_or(0, |(line, _)| *line);
                found.push(Named {
                    line,
                    segments: prefix.to_vec(),
                });
                at += 1;
            }
            Token::Word(_) | Token::Mark('*' | '{') => at = path_tree(tokens, at, prefix, found),
            Token::Colons | Token::Mark(_) => at += 1,
        }
    }
    at
}

/// Turns `self::` and `super::` into `crate::…`, and drops what is no path: a single word.
fn resolve(path: Named, here: &[String]) -> Option<Named> {
    let first = path.segment(0).to_owned();
    if path.segments.len() < 2 && first != "reqwest" && first != "roxmltree" {
        return None;
    }
    if first != "self" && first != "super" {
        return Some(path);
    }
    let ups = path
        .segments
        .iter()
        .filter(|segment| *segment == "super")
        .count();
    let skipped = path
        .segments
        .iter()
        .take_while(|segment| *segment == "self" || *segment == "super")
        .count();
    let base = here.iter().take(here.len().saturating_sub(ups)).cloned();
    let rest = path.segments.iter().skip(skipped).cloned();
    let segments = std::iter::once("crate".to_owned())
        .chain(base)
        .chain(rest)
        .collect();
    Some(Named {
        line: path.line,
        segments,
    })
}
