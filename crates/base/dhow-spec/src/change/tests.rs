//! Instructions and what becomes of a configuration, or of the hope for one.

use super::*;

/// Applies changes to an empty Linux configuration and gives its run part as JSON.
fn run(texts: &[&str]) -> Result<String, String> {
    on(ImageConfig { os: "linux".to_owned(), ..ImageConfig::default() }, texts)
}

fn on(mut config: ImageConfig, texts: &[&str]) -> Result<String, String> {
    let before = config.clone();
    let outcome = parse(texts).and_then(|changes| apply(&mut config, &changes));
    match outcome {
        Ok(()) => Ok(serde_json::to_string(&config.config).unwrap()),
        Err(error) => {
            assert_eq!(config, before, "a refused change changed something");
            Err(error.to_string())
        }
    }
}

fn check(texts: &[&str], expected: &str) {
    assert_eq!(run(texts).as_deref(), Ok(expected), "{texts:?}");
}

fn refused(texts: &[&str], expected: &str) {
    assert_eq!(run(texts).as_ref().map_err(String::as_str), Err(&expected).map_err(|e| *e), "{texts:?}");
}

#[test]
fn commands() {
    check(&[r#"CMD ["a", "b"]"#], r#"{"Cmd":["a","b"]}"#);
    check(&["cmd echo $HOME 'x'"], r#"{"Cmd":["/bin/sh","-c","echo $HOME 'x'"]}"#);
    check(&["CMD []"], r#"{"Cmd":[]}"#);
    check(&["CMD"], r#"{"Cmd":["/bin/sh","-c"]}"#);
    check(&["ENTRYPOINT run it"], r#"{"Entrypoint":["/bin/sh","-c","run it"]}"#);
    check(&["ENTRYPOINT []"], "{}");
    check(&["ENTRYPOINT"], "{}");
    check(
        &[r#"SHELL ["/bin/bash", "-lc"]"#, "CMD x"],
        r#"{"Cmd":["/bin/bash","-lc","x"],"Shell":["/bin/bash","-lc"]}"#,
    );
}

#[test]
fn an_entry_point_drops_the_arguments_of_the_old_one() {
    let mut config = ImageConfig::default();
    config.config.cmd = Some(vec!["old".to_owned()]);
    assert_eq!(on(config.clone(), &["ENTRYPOINT [\"new\"]"]).as_deref(), Ok(r#"{"Entrypoint":["new"]}"#));
    let kept = on(config, &["CMD [\"arg\"]", "ENTRYPOINT [\"new\"]"]);
    assert_eq!(kept.as_deref(), Ok(r#"{"Entrypoint":["new"],"Cmd":["arg"]}"#));
}

#[test]
fn environment_and_labels() {
    check(&["ENV a=b c=\"d e\""], r#"{"Env":["a=b","c=d e"]}"#);
    check(&["ENV a b  c"], r#"{"Env":["a=b  c"]}"#);
    check(&["ENV a 'b c' d"], r#"{"Env":["a=b c d"]}"#);
    check(&["ENV a=1", "ENV a=2 b=$a", "ENV a=$a$b"], r#"{"Env":["a=21","b=1"]}"#);
    check(&["ENV a=b\\", "c"], r#"{"Env":["a=bc"]}"#);
    check(&["ENV a=b \\\n  c=d"], r#"{"Env":["a=b","c=d"]}"#);
    check(&["ENV a='$x' b=\"${x:-y}\""], r#"{"Env":["a=$x","b=y"]}"#);
    check(&["LABEL a.b=c \"d e\"='f g'"], r#"{"Labels":{"a.b":"c","d e":"f g"}}"#);
    check(&["LABEL a=1", "LABEL a="], r#"{"Labels":{"a":""}}"#);
    check(&["# escape=`", "ENV a=b`", " c=\\d"], r#"{"Env":["a=b","c=\\d"]}"#);
}

#[test]
fn places_and_people() {
    check(&["WORKDIR /a", "WORKDIR b/../c", "WORKDIR ./d/"], r#"{"WorkingDir":"/a/c/d"}"#);
    check(&["WORKDIR a b"], r#"{"WorkingDir":"/a b"}"#);
    check(&["WORKDIR ../.."], r#"{"WorkingDir":"/"}"#);
    check(&["ENV u=me", "USER $u:${g:-us}"], r#"{"User":"me:us","Env":["u=me"]}"#);
    check(&["VOLUME /b /a"], r#"{"Volumes":{"/a":{},"/b":{}}}"#);
    check(&[r#"VOLUME ["/a b"]"#], r#"{"Volumes":{"/a b":{}}}"#);
    check(&["EXPOSE 80 53/udp 8000-8001"], r#"{"ExposedPorts":{"53/udp":{},"80/tcp":{},"8000/tcp":{},"8001/tcp":{}}}"#);
    check(&["ENV p='1 2'", "EXPOSE $p"], r#"{"ExposedPorts":{"1/tcp":{},"2/tcp":{}},"Env":["p=1 2"]}"#);
    check(&["STOPSIGNAL SIGQUIT"], r#"{"StopSignal":"SIGQUIT"}"#);
}

#[test]
fn health_checks_and_triggers() {
    check(&["HEALTHCHECK NONE"], r#"{"Healthcheck":{"Test":["NONE"]}}"#);
    check(
        &["HEALTHCHECK --interval=1m30s --timeout=3s --start-period=0s --start-interval=100ms --retries=3 CMD curl x"],
        "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"curl x\"],\"Interval\":90000000000,\"Timeout\":3000000000,\
         \"StartInterval\":100000000,\"Retries\":3}}",
    );
    check(&["HEALTHCHECK cmd [\"a\", \"b\"]"], r#"{"Healthcheck":{"Test":["CMD","a","b"]}}"#);
    check(&["onbuild  RUN make \\", "  all", "ONBUILD USER x"], r#"{"OnBuild":["RUN make   all","USER x"]}"#);
}

#[test]
fn refusals_in_the_words_of_docker() {
    refused(&["RUN x"], "RUN is not a valid change command");
    refused(&["foo x"], "foo is not a valid change command");
    refused(&["# only this"], "file with no instructions");
    refused(&[""], "file with no instructions");
    refused(&["ENV"], "ENV requires at least one argument");
    refused(&["ENV a"], "ENV must have two arguments");
    refused(&["ENV =b"], "ENV names can not be blank");
    refused(&["ENV a=b c"], "Syntax error - can't find = in \"c\". Must be of the form: name=value");
    refused(&["USER"], "USER requires exactly one argument");
    refused(&["USER --x y"], "unknown flag: --x");
    refused(&["EXPOSE"], "EXPOSE requires at least one argument");
    refused(&["EXPOSE http"], "invalid containerPort: http");
    refused(&["EXPOSE 0-65535 1-65535 2-65535 3-65535"], "EXPOSE names more than 196608 ports");
    refused(&["VOLUME []"], "VOLUME requires at least one argument");
    refused(&["VOLUME [\" \"]"], "VOLUME specified can not be an empty string");
    refused(&["VOLUME $none"], "VOLUME specified can not be an empty string");
    refused(&["WORKDIR $none"], "cannot normalize nothing: WORKDIR is empty");
    refused(&["STOPSIGNAL FOO"], "invalid signal: FOO");
    refused(&["SHELL bash"], "SHELL requires the arguments to be in JSON form");
    refused(&["SHELL []"], "SHELL requires at least one argument");
    refused(&["CMD [\"a\", 1]"], "when using JSON array syntax, arrays must be comprised of strings only");
    refused(&["ONBUILD"], "ONBUILD requires at least one argument");
    refused(&["ONBUILD onbuild USER x"], "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    refused(&["ONBUILD FROM x"], "FROM isn't allowed as an ONBUILD trigger");
    refused(&["HEALTHCHECK"], "HEALTHCHECK requires at least one argument");
    refused(&["HEALTHCHECK CMD"], "Missing command after HEALTHCHECK CMD");
    refused(&["HEALTHCHECK NONE x"], "HEALTHCHECK NONE takes no arguments");
    refused(&["HEALTHCHECK curl x"], "Unknown type \"CURL\" in HEALTHCHECK (try CMD)");
    refused(&["HEALTHCHECK --interval=5 CMD x"], "time: missing unit in duration \"5\"");
    refused(&["HEALTHCHECK --interval=5us CMD x"], "Interval \"interval\" cannot be less than 1ms");
    refused(&["HEALTHCHECK --interval CMD x"], "missing a value on flag: --interval");
    refused(&["HEALTHCHECK --retries=1 --retries=2 CMD x"], "duplicate flag specified: --retries");
    refused(&["HEALTHCHECK --retries=-1 CMD x"], "invalid value \"-1\" for --retries: a number from 0 on is expected");
    refused(&["ENV a=b", "ENV c=${d"], "failed to process \"${d\": syntax error: missing '}'");
}

#[test]
fn windows_has_its_own_shell_and_no_signals() {
    let windows = ImageConfig { os: "windows".to_owned(), ..ImageConfig::default() };
    assert_eq!(on(windows.clone(), &["CMD dir"]).as_deref(), Ok(r#"{"Cmd":["cmd","/S","/C","dir"]}"#));
    assert!(on(windows, &["STOPSIGNAL TERM"]).is_err());
}
