//! Pictures: a standalone SVG file, legible on light and dark backgrounds.
//!
//! Used by everything here that draws. Lengths are CSS pixels from the upper
//! left corner. Colours go by meaning, so that one style sheet has them all;
//! texts are escaped, whatever is in them.

use std::fmt::{Arguments, Write as _};

/// The background is drawn, too: a viewer may not know of dark mode.
const STYLE: &str = "\
.ground{fill:#fff}.ink{fill:#1f2933}.soft{fill:#52606d}.faint{fill:#9aa5b1}
.own{fill:#f08c2e}.reference{fill:#7b8794}.other{fill:#9fb3c8}.floor{fill:#b9c7d4}
.line{fill:none;stroke:#1f2933}.guide{fill:none;stroke:#52606d}.grid{fill:none;stroke:#d9e2ec}
.line-own{fill:none;stroke:#d9730d}.line-second{fill:none;stroke:#1f6f8b}.line-third{fill:none;stroke:#7b4ea3}
.own-text{fill:#b45309}.second-text{fill:#1f6f8b}.third-text{fill:#7b4ea3}
.area{fill:#f08c2e;fill-opacity:.25}.area-second{fill:#1f6f8b;fill-opacity:.2}
@media(prefers-color-scheme:dark){
.ground{fill:#12171d}.ink{fill:#e4e9ee}.soft{fill:#a7b4c0}.faint{fill:#6b7a89}
.reference{fill:#8894a0}.other{fill:#5f7a94}.floor{fill:#4a5a6a}
.line{stroke:#e4e9ee}.guide{stroke:#a7b4c0}.grid{stroke:#2b3640}
.line-own{stroke:#f6a04d}.line-second{stroke:#5fb3cf}.line-third{stroke:#b893dc}
.own-text{fill:#f6a04d}.second-text{fill:#5fb3cf}.third-text{fill:#b893dc}}
";

/// What a text is for.
#[derive(Clone, Copy)]
pub(crate) enum Text {
    /// The picture's title.
    Title,
    /// The title of a part.
    Heading,
    /// Anything else.
    Plain,
    /// What need not be read first.
    Note,
    /// What is not there.
    Missing,
    /// Names a line, in its colour: 0 to 2.
    Key(usize),
}

impl Text {
    fn attributes(self) -> (&'static str, u8, u16) {
        match self {
            Self::Title => ("ink", 20, 600),
            Self::Heading => ("ink", 14, 600),
            Self::Plain => ("ink", 12, 400),
            Self::Note => ("soft", 12, 400),
            Self::Missing => ("faint", 12, 400),
            Self::Key(0) => ("own-text", 12, 600),
            Self::Key(1) => ("second-text", 12, 600),
            Self::Key(_) => ("third-text", 12, 600),
        }
    }
}

/// A picture that is drawn from back to front.
pub(crate) struct Svg {
    out: String,
}

impl Svg {
    /// An empty one. `title` is what screen readers say.
    pub(crate) fn new(width: f64, height: f64, title: &str) -> Self {
        let title = escaped(title);
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\" \
             font-family=\"system-ui, Helvetica, Arial, sans-serif\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n\
             <rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n"
        );
        Self { out }
    }

    /// Words that begin at x, on the line y.
    pub(crate) fn text(&mut self, x: f64, y: f64, kind: Text, words: &str) {
        self.anchored(x, y, kind, "start", words);
    }

    /// Words that end at x, on the line y.
    pub(crate) fn text_before(&mut self, x: f64, y: f64, kind: Text, words: &str) {
        self.anchored(x, y, kind, "end", words);
    }

    /// Words around x, on the line y.
    pub(crate) fn text_around(&mut self, x: f64, y: f64, kind: Text, words: &str) {
        self.anchored(x, y, kind, "middle", words);
    }

    fn anchored(&mut self, x: f64, y: f64, kind: Text, anchor: &str, words: &str) {
        let (class, size, weight) = kind.attributes();
        let words = escaped(words);
        self.shape(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" font-weight=\"{weight}\" text-anchor=\"{anchor}\">{words}</text>"
        ));
    }

    /// A bar.
    pub(crate) fn bar(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.shape(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" rx=\"2\"/>"
        ));
    }

    /// A path in SVG's own notation.
    pub(crate) fn path(&mut self, class: &str, width: f64, path: &str) {
        self.shape(format_args!(
            "<path class=\"{class}\" stroke-width=\"{width}\" d=\"{path}\"/>"
        ));
    }

    /// A dashed one.
    pub(crate) fn dashes(&mut self, class: &str, path: &str) {
        self.shape(format_args!(
            "<path class=\"{class}\" stroke-dasharray=\"3 3\" d=\"{path}\"/>"
        ));
    }

    fn shape(&mut self, shape: Arguments<'_>) {
        writeln!(self.out, "{shape}").expect("a String takes everything");
    }

    /// The file.
    pub(crate) fn finish(mut self) -> String {
        self.out += "</svg>\n";
        self.out
    }
}

/// A line through points, as a path; empty for none.
pub(crate) fn through(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        let command = if path.is_empty() { 'M' } else { 'L' };
        write!(path, "{command}{x:.1} {y:.1}").expect("a String takes everything");
    }
    path
}

/// Small counts as lengths.
pub(crate) fn length(count: usize) -> f64 {
    u16::try_from(count).map_or(f64::from(u16::MAX), f64::from)
}

/// For texts and attributes; what XML cannot hold at all is replaced.
fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for letter in words.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\t' => out.push(' '),
            control if control.is_control() => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Svg, Text, through};

    /// Fails unless it is well-formed, as far as we write XML: elements that
    /// end in order, attributes in double quotes, no bare `&` or `<`.
    pub(crate) fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some((text, tail)) = rest.split_once('<') {
            assert_entities(text);
            let (tag, tail) = tail.split_once('>').expect("a tag ends");
            rest = tail;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "elements end in order");
                continue;
            }
            let inner = tag.trim_end_matches('/');
            let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
            if !tag.ends_with('/') {
                open.push(name);
            }
            assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
            let quoted = attributes.split('"').collect::<Vec<_>>();
            for (at, part) in quoted.iter().enumerate() {
                if at % 2 == 1 {
                    assert_entities(part);
                } else if at + 1 < quoted.len() {
                    assert!(part.ends_with('='), "{tag}");
                }
            }
            assert!(!attributes.contains("NaN"), "{tag}");
            assert!(!attributes.contains("inf"), "{tag}");
        }
        assert!(open.is_empty(), "{open:?} do not end");
        assert_eq!(rest.trim(), "");
    }

    fn assert_entities(text: &str) {
        for after in text.split('&').skip(1) {
            let (name, _) = after.split_once(';').expect("an entity ends");
            assert!(["amp", "lt", "gt", "quot"].contains(&name), "&{name};");
        }
    }

    #[test]
    fn texts_are_escaped_and_the_file_is_well_formed() {
        let mut svg = Svg::new(100.0, 50.0, "a \"b\" <c> & d");
        svg.text(1.0, 2.0, Text::Plain, "x < y & z\u{1}");
        svg.bar("own", 0.0, 0.0, 10.0, 4.0);
        svg.path("line", 1.3, &through([(0.0, 1.0), (2.0, 3.0)]));
        let svg = svg.finish();
        assert_well_formed(&svg);
        assert!(svg.contains("x &lt; y &amp; z\u{fffd}"), "{svg}");
        assert!(svg.contains("M0.0 1.0L2.0 3.0"), "{svg}");
        assert!(svg.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn every_class_has_a_colour_in_both_schemes() {
        let (light, dark) = super::STYLE.split_once("@media").unwrap();
        for class in ["ground", "ink", "soft", "faint", "line-own", "own-text"] {
            let rule = format!(".{class}{{");
            assert!(light.contains(&rule) && dark.contains(&rule), "{class}");
        }
    }

    #[test]
    #[should_panic(expected = "elements end in order")]
    fn what_is_broken_is_noticed() {
        assert_well_formed("<svg><g></svg></g>");
    }
}
