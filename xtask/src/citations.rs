//! Quotations of RFCs in the code: that the sentence really stands where the comment says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::house::{House, Source};
use crate::report::{Finding, Report};
use crate::specification::{Found, Specification};

const STEP: &str = "citations";

/// `//= https://www.rfc-editor.org/rfc/rfc9000#section-4.1` and the lines `//#` after it.
#[derive(Debug, Eq, PartialEq)]
struct Citation {
    /// File and line.
    place: String,
    /// What stands after `//=`.
    target: String,
    /// What stands after `//#`, lines joined.
    quotation: String,
}

/// Every citation that is not true.
pub(crate) fn broken(house: &House, files: &[Source], report: &mut Report) -> Vec<Finding> {
    let folder = folder(house);
    let citations: Vec<Citation> = files.iter().flat_map(|file| read(&file.path, &file.text)).collect();
    println!("   {} citations", citations.len());
    let mut specifications: BTreeMap<String, Option<Specification>> = BTreeMap::new();
    let mut findings = Vec::new();
    for citation in &citations {
        match citation.rfc_and_section() {
            Ok((rfc, section)) => {
                let specification = specifications.entry(rfc.clone()).or_insert_with(|| load(&folder, &rfc));
                if let Some(specification) = specification {
                    findings.extend(citation.judge(section, specification));
                }
            }
            Err(what) => findings.push(Finding::new(&citation.place, what)),
        }
    }
    let absent: Vec<&str> =
        specifications.iter().filter(|(_, text)| text.is_none()).map(|(name, _)| name.as_str()).collect();
    if !absent.is_empty() {
        report.skip(STEP, format!("no text of {} in {}", absent.join(", "), folder.display()));
    }
    findings
}

/// The texts stand beside the repository; `QUICAST_SPECS` names another folder.
fn folder(house: &House) -> PathBuf {
    std::env::var_os("QUICAST_SPECS").map_or_else(|| house.root.join("../shared/specs"), PathBuf::from)
}

/// `rfc9000.md`, or with a word after the number, `rfc9221-datagram.md`.
fn load(folder: &Path, rfc: &str) -> Option<Specification> {
    let entries = fs::read_dir(folder).ok()?;
    let found = entries.flatten().find(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = name.strip_prefix(rfc).and_then(|rest| rest.strip_suffix(".md"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })?;
    Some(Specification::read(&fs::read_to_string(found.path()).ok()?))
}

impl Citation {
    fn rfc_and_section(&self) -> Result<(String, &str), String> {
        let path = self
            .target
            .strip_prefix("https://www.rfc-editor.org/rfc/")
            .ok_or("cite https://www.rfc-editor.org/rfc/rfcNNNN#section-X")?;
        let (rfc, anchor) = path.split_once('#').ok_or("name the section: #section-X or #appendix-X")?;
        let section = anchor.strip_prefix("section-").or_else(|| anchor.strip_prefix("appendix-"));
        let section = section.ok_or("name the section: #section-X or #appendix-X")?;
        if self.quotation.is_empty() {
            return Err("quote the sentence after it, in lines that begin with //#".to_owned());
        }
        Ok((rfc.to_owned(), section))
    }

    fn judge(&self, section: &str, specification: &Specification) -> Option<Finding> {
        let what = match specification.find(section, &self.quotation) {
            Found::There => return None,
            Found::Elsewhere(other) => format!("this sentence stands in section {other}, not in {section}"),
            Found::Nowhere => format!("no such sentence in the RFC; quote it word by word: {}", self.quotation),
        };
        Some(Finding::new(&self.place, what))
    }
}

/// The citations of one file.
fn read(path: &str, text: &str) -> Vec<Citation> {
    let mut citations: Vec<Citation> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if let Some(target) = line.strip_prefix("//= ") {
            // The kind of a citation: it says nothing of the text.
            if target.starts_with("type=") || target.starts_with("reason=") {
                continue;
            }
            let place = format!("{path}:{}", number + 1);
            citations.push(Citation { place, target: target.trim().to_owned(), quotation: String::new() });
            open = true;
        } else if let (Some(words), true, Some(citation)) = (line.strip_prefix("//#"), open, citations.last_mut()) {
            citation.quotation.push_str(words.trim_end());
        } else {
            open = false;
        }
    }
    citations
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
fn f() {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
    //= type=test
    //# A sender MUST ignore any MAX_STREAM_DATA or MAX_DATA frames that do
    //# not increase flow control limits.
    g();
    //# a comment of its own
}
";

    #[test]
    fn a_citation_is_its_target_and_its_lines() {
        let found = read("transport/src/flow.rs", SOURCE);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "transport/src/flow.rs:2");
        assert_eq!(found[0].rfc_and_section(), Ok(("rfc9000".to_owned(), "4.1")));
        assert!(found[0].quotation.ends_with("that do not increase flow control limits."));
    }

    #[test]
    fn a_true_citation_passes_and_an_invented_one_does_not() {
        let text = "--- middle\n# One\nA sender MUST ignore any MAX_STREAM_DATA or MAX_DATA frames that do\nnot \
                    increase flow control limits.\n";
        let specification = Specification::read(text);
        let citation = &read("a.rs", SOURCE)[0];
        assert_eq!(citation.judge("1", &specification), None);
        assert!(citation.judge("4.1", &specification).unwrap().what.contains("stands in section 1"));
        let empty = Specification::read("--- middle\n# One\n");
        assert!(citation.judge("4.1", &empty).unwrap().what.contains("no such sentence"));
    }

    #[test]
    fn a_citation_without_a_section_or_a_sentence_is_a_finding() {
        for source in [
            "//= https://www.rfc-editor.org/rfc/rfc9000\n//# A sentence.\n",
            "//= https://www.rfc-editor.org/rfc/rfc9000#section-4.1\nlet a = 1;\n",
            "//= RFC 9000 section 4.1\n//# A sentence.\n",
        ] {
            assert!(read("a.rs", source)[0].rfc_and_section().is_err(), "{source}");
        }
    }
}
