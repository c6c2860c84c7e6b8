//! Answers that a route gives itself, with bodies from files and ConfigMaps.

use crate::support::{Reveille, Target};

const PAGES: &str = "\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: pages, labels: {http.keda.sh/response-body: 'true'}}
data:
  index.html: <h1>asleep</h1>
  robots.txt: 'User-agent: *'
binaryData:
  dot.gif: R0lGODdhAQ==
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
data: {index.html: not for us}
";

fn route() -> Target {
    let pages = "{rules: [{paths: [{value: /pages}]}], responseMode: Always, response: ";
    let mut target = Target::hello().route("staticRoutes:");
    for (path, response) in [
        ("/file", "{bodyFromFile: page.json, statusCode: 418}"),
        (
            "/typed",
            "{bodyFromFile: page.json, headers: {content-type: text/x}}",
        ),
        ("/gone", "{bodyFromFile: gone.html}"),
        (
            "/key",
            "{bodyFromConfigMap: {name: pages, key: robots.txt}}",
        ),
        ("/no-key", "{bodyFromConfigMap: {name: pages, key: none}}"),
        ("/other", "{bodyFromConfigMap: {name: other}}"),
        (
            "/",
            "{bodyFromConfigMap: {name: pages}, statusCode: 203, headers: {x-page: a}}",
        ),
    ] {
        let item = pages.replace("/pages", path);
        target = target.route(&format!("- {item}{response}}}"));
    }
    target
}

#[test]
fn bodies_come_from_files_and_from_labelled_config_maps() {
    let reveille = Reveille::of(format!("{}{PAGES}", route()))
        .file("page.json", "{}")
        .start();
    let web = reveille.client("web");
    let mut told = Vec::new();
    for path in [
        "/file",
        "/typed",
        "/gone",
        "/key",
        "/no-key",
        "/other",
        "/",
        "/index.html",
        "/dot.gif?a=1",
        "/none",
        "/deep/index.html",
    ] {
        let answer = web.get(path);
        let kind = answer.header("content-type").unwrap_or("-").to_owned();
        told.push((path, answer.status, kind, answer.body));
    }
    let error = "Internal Server Error\n";
    let (html, text) = ("text/html; charset=utf-8", "text/plain; charset=utf-8");
    let expected = [
        ("/file", 418, "application/json", "{}"),
        ("/typed", 200, "text/x", "{}"),
        ("/gone", 500, text, error),
        ("/key", 200, text, "User-agent: *"),
        ("/no-key", 500, text, error),
        ("/other", 500, text, error),
        ("/", 203, html, "<h1>asleep</h1>"),
        ("/index.html", 203, html, "<h1>asleep</h1>"),
        ("/dot.gif?a=1", 203, "image/gif", "GIF87a\u{1}"),
        ("/none", 203, "-", ""),
        ("/deep/index.html", 203, "-", ""),
    ];
    let expected =
        expected.map(|(path, status, kind, body)| (path, status, kind.to_owned(), body.to_owned()));
    assert_eq!(told, expected);
    assert_eq!(web.get("/").header("x-page"), Some("a"));
    assert!(reveille.target("web").is_asleep(), "these wake nobody");
    let log = reveille.log();
    for problem in [
        "gone.html cannot be read, so the answer is 500: No such file",
        "ConfigMap default/pages has no key \"none\": the answer is 500",
        "ConfigMap default/other lacks the label http.keda.sh/response-body: \"true\": the answer",
    ] {
        assert!(log.contains(problem), "{problem}: {log}");
    }
}
