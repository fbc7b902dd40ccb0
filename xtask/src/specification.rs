//! The text of an RFC, cut into numbered sections and words, so that a quotation can be looked up in it.
//!
//! The texts are the authors' Markdown: references stand in double braces where the published text has "Section 4.1", so
//! such a word matches up to six words of a quotation.

/// One RFC.
#[derive(Debug)]
pub(crate) struct Specification {
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    /// `4.1`, `A.3`; empty before the first.
    number: String,
    words: Vec<String>,
}

/// Where a quotation stands.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// In the section that was named, or below it.
    There,
    /// In another one.
    Elsewhere(String),
    /// Nowhere.
    Nowhere,
}

/// How many words of the published text a reference may stand for.
const REFERENCE_WORDS: usize = 6;

/// What a reference is read as, with the punctuation around it.
const REFERENCE: &str = "{{}}";

impl Specification {
    /// Cuts the Markdown of an RFC.
    pub(crate) fn read(markdown: &str) -> Self {
        let markdown = join_references(markdown);
        let mut sections = vec![Section { number: String::new(), words: Vec::new() }];
        let mut numbers = Numbers::default();
        let mut fenced = false;
        for line in markdown.lines() {
            if line.starts_with("~~~") || line.starts_with("```") {
                fenced = !fenced;
            }
            if let Some(part) = line.strip_prefix("--- ").filter(|_| !fenced) {
                numbers.enter(part.trim());
            } else if let Some(depth) = heading_depth(line).filter(|_| !fenced) {
                sections.push(Section { number: numbers.next(depth, line), words: Vec::new() });
            } else if let Some(section) = sections.last_mut() {
                section.words.extend(words(line));
            }
        }
        Self { sections }
    }

    /// Looks a quotation up.
    pub(crate) fn find(&self, section: &str, quotation: &str) -> Found {
        let quotation: Vec<String> = words(&join_references(quotation)).collect();
        let holds = |section: &&Section| section.holds(&quotation);
        let below = format!("{section}.");
        let mut named =
            self.sections.iter().filter(|found| found.number == section || found.number.starts_with(&below));
        if named.any(|section| section.holds(&quotation)) {
            return Found::There;
        }
        match self.sections.iter().find(holds) {
            Some(other) => Found::Elsewhere(other.number.clone()),
            None => Found::Nowhere,
        }
    }
}

impl Section {
    fn holds(&self, quotation: &[String]) -> bool {
        !quotation.is_empty() && (0..self.words.len()).any(|start| matches(&self.words[start..], quotation))
    }
}

/// Whether the quotation stands at the beginning of the text.
fn matches(text: &[String], quotation: &[String]) -> bool {
    match (text, quotation) {
        (_, []) => true,
        // A quotation may end before its sentence does.
        ([word, ..], [last]) if word.trim_end_matches(['.', ',', ';', ':', ')']) == last => true,
        ([word, text @ ..], [quoted, rest @ ..]) if word == quoted => matches(text, rest),
        ([word, text @ ..], _) if word == REFERENCE => {
            let longest = quotation.iter().take(REFERENCE_WORDS).take_while(|word| may_be_reference(word)).count();
            (1..=longest).any(|words| matches(text, &quotation[words..]))
        }
        _ => false,
    }
}

/// Whether the published text may say this word where the Markdown has a reference: "Section", "4.1", "[QUIC-TLS]".
fn may_be_reference(word: &str) -> bool {
    let word = word.trim_matches(['(', ')', ',', '.', ';', ':']);
    word.starts_with('[')
        || word.chars().any(|it| it.is_ascii_digit())
        || matches!(word, "Section" | "Sections" | "Appendix" | "Appendices" | "Table" | "Figure" | "of" | "and")
        || (word.len() == 1 && word.chars().all(|it| it.is_ascii_uppercase()))
}

/// Takes the spaces out of references, so that each is one word, whatever stands inside.
fn join_references(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("{{") {
        joined.push_str(before);
        joined.push_str(REFERENCE);
        rest = inside.split_once("}}").map_or("", |(_, after)| after);
    }
    joined.push_str(rest);
    joined
}

/// The words of a line as they are compared: without Markdown's emphasis, escapes, code ticks and quotation marks.
fn words(line: &str) -> impl Iterator<Item = String> {
    let line = line.replace("<sup>", "^").replace("</sup>", "").replace("<sub>", "_").replace("</sub>", "");
    let words: Vec<String> = line.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect();
    words.into_iter()
}

fn bare(word: &str) -> String {
    if word.contains(REFERENCE) {
        return REFERENCE.to_owned();
    }
    let word: String = word.chars().filter(|it| !matches!(it, '*' | '`' | '"' | '“' | '”' | '\\')).collect();
    word.trim_matches('_').to_owned()
}

fn heading_depth(line: &str) -> Option<usize> {
    let depth = line.bytes().take_while(|byte| *byte == b'#').count();
    ((1..=6).contains(&depth) && line.as_bytes().get(depth) == Some(&b' ')).then_some(depth)
}

/// Counts headings as the published text numbers them: 1, 1.1, and letters in the appendices.
#[derive(Debug, Default)]
struct Numbers {
    counts: Vec<u32>,
    back: bool,
    middle: bool,
}

impl Numbers {
    fn enter(&mut self, part: &str) {
        self.middle = part == "middle";
        self.back = part == "back";
        self.counts.clear();
    }

    fn next(&mut self, depth: usize, line: &str) -> String {
        if !(self.middle || self.back) || line.contains("numbered=\"false\"") || line.contains("numbered=false") {
            return String::new();
        }
        self.counts.resize(depth, 0);
        if let Some(last) = self.counts.last_mut() {
            *last += 1;
        }
        let first = self.counts.first().copied().unwrap_or_default();
        let first = if self.back { letter(first) } else { first.to_string() };
        let rest = self.counts.iter().skip(1).map(|count| format!(".{count}"));
        std::iter::once(first).chain(rest).collect()
    }
}

fn letter(count: u32) -> String {
    char::from_u32(u32::from(b'A') + count.saturating_sub(1)).map_or_else(String::new, |letter| letter.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
---
title: x
--- abstract
# Not numbered
--- middle
# Overview
Nothing.
# Flow Control {#flow-control}
~~~
# no heading
~~~
## Data Flow Control
A receiver MUST close the connection with an error of type
FLOW_CONTROL_ERROR if the sender violates limits; see {{error-handling}} for
details. The *offset* cannot exceed 2<sup>62</sup>-1.
--- back
# Sample
Trim to `half`.
## Code
Done.
";

    fn find(section: &str, quotation: &str) -> Found {
        Specification::read(TEXT).find(section, quotation)
    }

    #[test]
    fn a_sentence_is_found_across_lines_and_marks() {
        let sentence = "A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR";
        assert_eq!(find("2.1", sentence), Found::There);
        assert_eq!(find("2", sentence), Found::There);
        assert_eq!(find("2.1", "The offset cannot exceed 2^62-1."), Found::There);
        assert_eq!(find("A", "Trim to half."), Found::There);
        assert_eq!(find("A.1", "Done."), Found::There);
    }

    #[test]
    fn a_reference_matches_the_words_of_the_published_text() {
        assert_eq!(find("2.1", "violates limits; see Section 11 for details."), Found::There);
        assert_eq!(find("2.1", "violates limits; see {{error-handling}} for details."), Found::There);
    }

    #[test]
    fn a_part_of_a_sentence_needs_no_punctuation() {
        assert_eq!(find("2.1", "error of type FLOW_CONTROL_ERROR if the sender violates limits"), Found::There);
        assert_eq!(find("2.1", "error of type FLOW_CONTROL"), Found::Nowhere);
    }

    #[test]
    fn a_reference_matches_no_other_words() {
        assert_eq!(find("2.1", "violates limits; see the moon for details."), Found::Nowhere);
        assert_eq!(find("2.1", "violates limits; see for details."), Found::Nowhere);
    }

    #[test]
    fn a_changed_word_is_not_found() {
        assert_eq!(find("2.1", "A receiver SHOULD close the connection"), Found::Nowhere);
        assert_eq!(find("2.1", ""), Found::Nowhere);
    }

    #[test]
    fn a_sentence_of_another_section_is_told() {
        assert_eq!(find("1", "A receiver MUST close"), Found::Elsewhere("2.1".to_owned()));
    }
}
