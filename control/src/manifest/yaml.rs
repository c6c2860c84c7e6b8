//! Reads YAML text of several documents into trees whose every key and value knows its line.
//!
//! Called by `load`. A document with a syntax error costs only itself: the parser goes on at the
//! next `---`. It must never end at the first error.

use granit_parser::Parser;

use super::node::Node;
use super::tree::Builder;

/// One document of a text.
#[derive(Debug)]
pub(super) struct Document {
    /// Its tree; `Value::Null` when the document is empty.
    pub(super) root: Node,
    /// What is wrong although a tree could be built: duplicate keys, unknown tags.
    pub(super) flaws: Vec<Flaw>,
}

/// Something wrong with the text itself.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) message: String,
}

/// All documents of `text` in order; a broken one is its error.
pub(super) fn documents(text: &str) -> Vec<Result<Document, Flaw>> {
    let options = granit_parser::options! { emit_comments: false };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut documents = Vec::new();
    let mut builder = Builder::default();
    loop {
        let flaw = match parser.next_event() {
            None => return documents,
            Some(Ok((event, span))) => match builder.event(event, span.start.line()) {
                Ok(None) => continue,
                Ok(Some(document)) => {
                    documents.push(Ok(document));
                    continue;
                }
                Err(flaw) => flaw,
            },
            Some(Err(error)) => Flaw {
                line: error.marker().line(),
                path: String::new(),
                message: format!("not valid YAML: {}", error.info()),
            },
        };
        documents.push(Err(flaw));
        builder = Builder::default();
        if !matches!(parser.proceed_next_document(), Ok(true)) {
            return documents;
        }
    }
}
