//! Where a text that the parser refuses stops to be a query.
//!
//! The parser tells what is wrong at best, never where. This walks over the
//! tokens once more, in the alternation of operands and operators that every
//! query has. Only called for errors; it decides nothing.

use super::{
    QueryError,
    expr::Op,
    scan::{Kind, Token},
};

/// The error with its place: where the form is broken, else at the first word
/// that the parser's message quotes.
pub(super) fn place(text: &str, tokens: &[Token<'_>], said: &str) -> QueryError {
    let mut walk = Walk {
        tokens,
        next: 0,
        open: Vec::new(),
    };
    match walk.query() {
        Err((Some(at), message)) => QueryError::at(text, at, message),
        Err((None, message)) => QueryError::at(text, text.trim_end().len(), message),
        Ok(()) => QueryError::at(text, quoted(tokens, said), said),
    }
}

/// Where the first word stands that the message quotes.
fn quoted(tokens: &[Token<'_>], said: &str) -> usize {
    let words = said.split('\'').skip(1).step_by(2);
    let place = |word: &str| tokens.iter().find(|token| token.text == word);
    words
        .filter_map(place)
        .map(|token| token.at)
        .next()
        .unwrap_or(0)
}

/// The place, or the end of the text.
type Broken = (Option<usize>, String);

struct Walk<'a> {
    tokens: &'a [Token<'a>],
    next: usize,
    /// Parentheses that are open: where, and whether arguments stand in them.
    open: Vec<(usize, bool)>,
}

impl<'a> Walk<'a> {
    fn query(&mut self) -> Result<(), Broken> {
        loop {
            self.operand()?;
            while self.peek().is_some() {
                if self.after_operand()? {
                    break;
                }
            }
            if self.peek().is_none() && !self.wants_operand() {
                break;
            }
        }
        match self.open.last() {
            Some((at, _)) => Err((Some(*at), "this ( is not closed".to_owned())),
            None => Ok(()),
        }
    }

    /// Whether what came last asks for an operand.
    fn wants_operand(&self) -> bool {
        let last = self.tokens.last();
        last.is_some_and(|last| {
            last.is(",")
                || last.is_word("bool")
                || Op::named(&last.text.to_ascii_lowercase()).is_some()
        })
    }

    fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.next)
    }

    fn take(&mut self, wanted: impl Fn(&Token<'_>) -> bool) -> bool {
        let is = self.peek().is_some_and(wanted);
        self.next += usize::from(is);
        is
    }

    /// What stands here is not what should.
    fn expected<T>(&self, what: &str) -> Result<T, Broken> {
        Err(match self.peek() {
            Some(token) => (
                Some(token.at),
                format!("unexpected {}: {what} is expected here", token.text),
            ),
            None => (None, format!("the query ends where {what} is expected")),
        })
    }

    /// A number, a selector, or what begins a group of these.
    fn operand(&mut self) -> Result<(), Broken> {
        const WHAT: &str = "a number, a metric or a function";
        loop {
            let Some(token) = self.peek() else {
                return self.expected(WHAT);
            };
            match token.kind {
                Kind::Number | Kind::Text => {
                    self.next += 1;
                    return Ok(());
                }
                Kind::Word => {
                    self.next += 1;
                    if self.take(|t| t.is_word("by") || t.is_word("without")) {
                        self.names()?;
                        if !self.peek().is_some_and(|t| t.is("(")) {
                            return self.expected("( with what is aggregated");
                        }
                    }
                    if let Some(open) = self.peek().filter(|t| t.is("(")) {
                        self.next += 1;
                        if self.take(|t| t.is(")")) {
                            return Ok(());
                        }
                        self.open.push((open.at, true));
                        continue;
                    }
                    if self.peek().is_some_and(|t| t.is("{")) {
                        return self.matchers();
                    }
                    return Ok(());
                }
                Kind::Sign => match token.text {
                    "{" => return self.matchers(),
                    "(" => {
                        self.next += 1;
                        self.open.push((token.at, false));
                    }
                    "+" | "-" => self.next += 1,
                    _ => return self.expected(WHAT),
                },
            }
        }
    }

    /// One piece of what follows an operand. Whether an operand comes next.
    fn after_operand(&mut self) -> Result<bool, Broken> {
        let Some(token) = self.peek() else {
            return Ok(false);
        };
        let word = token.text.to_ascii_lowercase();
        if matches!(token.kind, Kind::Sign | Kind::Word) && Op::named(&word).is_some() {
            self.next += 1;
            self.modifiers()?;
            return Ok(true);
        }
        match (token.kind, &*word) {
            (Kind::Sign, ")") => {
                if self.open.pop().is_none() {
                    return Err((Some(token.at), "no ( is open before this )".to_owned()));
                }
                self.next += 1;
                Ok(false)
            }
            (Kind::Sign, ",") if self.open.last().is_some_and(|(_, call)| *call) => {
                self.next += 1;
                Ok(true)
            }
            (Kind::Sign, "[") => {
                self.next += 1;
                if !self.take(|t| t.kind == Kind::Number) {
                    return self.expected("a duration such as 5m");
                }
                if !self.take(|t| t.is("]")) {
                    return self.expected("]");
                }
                Ok(false)
            }
            (Kind::Word, "offset") => {
                self.next += 1;
                self.take(|t| t.is("-") || t.is("+"));
                if !self.take(|t| t.kind == Kind::Number) {
                    return self.expected("a duration such as 5m");
                }
                Ok(false)
            }
            (Kind::Word, "by" | "without") => {
                self.next += 1;
                self.names()?;
                Ok(false)
            }
            _ => self.expected("an operator or the end"),
        }
    }

    /// What may follow an operator.
    fn modifiers(&mut self) -> Result<(), Broken> {
        self.take(|t| t.is_word("bool"));
        if self.take(|t| t.is_word("on") || t.is_word("ignoring")) {
            self.names()?;
            let grouped = self.take(|t| t.is_word("group_left") || t.is_word("group_right"));
            if grouped && self.peek().is_some_and(|t| t.is("(")) {
                self.names()?;
            }
        }
        Ok(())
    }

    /// `(a, b)`.
    fn names(&mut self) -> Result<(), Broken> {
        if !self.take(|t| t.is("(")) {
            return self.expected("( with labels");
        }
        while !self.take(|t| t.is(")")) {
            if !self.take(|t| matches!(t.kind, Kind::Word | Kind::Text)) {
                return self.expected("a label or )");
            }
            if !self.take(|t| t.is(",")) && !self.peek().is_some_and(|t| t.is(")")) {
                return self.expected(", or )");
            }
        }
        Ok(())
    }

    /// `{a="b"}`.
    fn matchers(&mut self) -> Result<(), Broken> {
        self.next += 1;
        while !self.take(|t| t.is("}")) {
            let quoted = self.peek().is_some_and(|t| t.kind == Kind::Text);
            if !self.take(|t| matches!(t.kind, Kind::Word | Kind::Text)) {
                return self.expected("a label or }");
            }
            let ends = self.peek().is_some_and(|t| t.is(",") || t.is("}"));
            if !(quoted && ends) {
                if !self.take(|t| ["=", "!=", "=~", "!~"].contains(&t.text)) {
                    return self.expected("=, !=, =~ or !~");
                }
                if !self.take(|t| t.kind == Kind::Text) {
                    return self.expected("a quoted value");
                }
            }
            if !self.take(|t| t.is(",")) && !self.peek().is_some_and(|t| t.is("}")) {
                return self.expected(", or }");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::query::Query;

    #[test]
    fn broken_queries_name_the_place_where_they_break() {
        for (text, column, said) in [
            ("", 1, "no query"),
            ("  \n ", 1, "no query"),
            ("foo bar", 5, "unexpected bar: an operator"),
            ("foo +", 6, "ends where a number"),
            ("sum(foo", 4, "not closed"),
            ("foo)", 4, "no ( is open"),
            ("sum(foo))", 9, "no ( is open"),
            ("foo{a==\"b\"}", 7, "a quoted value"),
            ("foo{a=b}", 7, "a quoted value"),
            ("foo{a:1}", 8, "=, !=, =~ or !~"),
            ("foo{=\"b\"}", 5, "a label or }"),
            ("foo{a=\"1\" b=\"2\"}", 11, ", or }"),
            ("foo{a=\"1\"", 10, ", or }"),
            ("{", 2, "a label or }"),
            ("}{", 1, "a number, a metric"),
            ("foo{a=\"1\"}{b=\"2\"}", 11, "an operator"),
            ("foo{a=\"b\"} trailing", 12, "an operator"),
            ("foo[5m", 7, "]"),
            ("foo[]", 5, "a duration"),
            ("foo[abc]", 5, "a duration"),
            ("foo * * bar", 7, "a number, a metric"),
            ("sum by a", 8, "( with labels"),
            ("sum by (a) foo", 12, "( with what is aggregated"),
            ("(1, 2)", 3, "an operator"),
            ("clamp(foo, )", 12, "a number, a metric"),
            ("foo offset", 11, "a duration"),
            ("foo + on a bar", 10, "( with labels"),
        ] {
            let error = Query::promql(text).expect_err(text);
            assert_eq!(error.column(), column, "{text}: {error}");
            assert!(error.message().contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn errors_of_types_name_the_function() {
        for (text, column, said) in [
            ("1 + rate(foo)", 5, "rate"),
            ("sum(1 + abs(1))", 9, "abs"),
            ("histogram_quantile(foo, bar)", 1, "histogram_quantile"),
            ("foo + clamp(bar)", 7, "clamp"),
        ] {
            let error = Query::promql(text).expect_err(text);
            assert_eq!(error.column(), column, "{text}: {error}");
            assert!(error.message().contains(said), "{text}: {error}");
        }
    }
}
