//! The chart's README has every value, with the comment that `values.yaml`
//! gives it.

use crate::{kept, read};

/// Where the table is.
const BEGIN: &str = "<!-- values: generated from values.yaml -->\n";
const END: &str = "<!-- end of values -->\n";

struct Row {
    path: String,
    default: String,
    about: String,
}

/// Values that have a comment of the form `# -- …` above them.
fn rows(yaml: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut parents: Vec<(usize, String)> = Vec::new();
    let mut about: Option<String> = None;
    for line in yaml.lines() {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        if let Some(text) = bare.strip_prefix("# -- ") {
            about = Some(text.to_owned());
        } else if let (Some(text), Some(about)) = (bare.strip_prefix("# "), about.as_mut()) {
            about.push(' ');
            about.push_str(text);
        } else if let Some((name, default)) = bare.split_once(':')
            && !bare.starts_with(['#', '-'])
        {
            parents.retain(|(at, _)| *at < indent);
            let names = parents.iter().map(|(_, name)| name.as_str());
            let path = names.chain([name]).collect::<Vec<_>>().join(".");
            let documented = rows
                .iter()
                .any(|row| path.starts_with(&format!("{}.", row.path)));
            match about.take() {
                Some(about) => rows.push(Row {
                    path,
                    default: default.trim().to_owned(),
                    about,
                }),
                None => assert!(
                    default.trim().is_empty() || documented,
                    "values.yaml says nothing about {path}"
                ),
            }
            parents.push((indent, name.to_owned()));
        }
    }
    rows
}

#[test]
fn the_readme_has_every_value() {
    let mut table = "| value | default | what it is |\n|---|---|---|\n".to_owned();
    let yaml = read("helm/reveille/values.yaml");
    let rows = rows(&yaml);
    assert!(rows.len() > 60, "{}", rows.len());
    for Row {
        path,
        default,
        about,
    } in rows
    {
        let default = match default.as_str() {
            "" => "see values.yaml".to_owned(),
            text => format!("`{text}`"),
        };
        table += &format!("| `{path}` | {default} | {about} |\n");
    }
    let readme = read("helm/reveille/README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the table begins");
    let (_, after) = rest.split_once(END).expect("the table ends");
    let fresh = format!("{before}{BEGIN}\n{table}\n{END}{after}");
    kept::same("helm/reveille/README.md", &fresh);
}
