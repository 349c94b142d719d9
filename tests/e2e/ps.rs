//! `dhow ps`: columns, filters, formats.

use serde_json::Value;

use crate::harness::Containers;

/// One that runs, one that is paused, one that ended with 3, one that was only made; made in this order.
fn containers() -> Containers {
    let box_ = Containers::new();
    box_.dhow(&["run", "-d", "--name", "up", "-l", "role=web", "box", "sleep", "1000"]).ok();
    box_.detached("held", "sleep 1000 # and some more words");
    box_.dhow(&["pause", "held"]).ok();
    box_.detached("ended", "exit 3");
    box_.dhow(&["wait", "ended"]).ok();
    box_.dhow(&["create", "--name", "made", "--label", "role=db", "box"]).ok();
    box_
}

#[test]
fn the_table_has_docker_s_columns() {
    let box_ = containers();
    let lines = box_.dhow(&["ps"]).lines();
    let head: Vec<&str> = lines[0].split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
    assert_eq!(head, ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[1].ends_with("held") && lines[2].ends_with("up"), "{lines:#?}");
    assert!(lines[1].contains(" (Paused)") && lines[1].contains("\"sh -c 'sleep 1000 #…\""), "{lines:#?}");
    assert!(lines[2].contains("\"sleep 1000\"") && lines[2].contains("Up ") && lines[2].contains(" ago"), "{lines:#?}");
    let all = box_.dhow(&["ps", "-a"]).lines();
    assert_eq!(all.len(), 5);
    assert!(all[1].contains("Created") && all[1].ends_with("made"), "{all:#?}");
    assert!(all[2].contains("Exited (3) ") && all[2].ends_with("ended"), "{all:#?}");
    for words in [["container", "ls"], ["container", "list"], ["container", "ps"]] {
        assert_eq!(box_.dhow(&words).lines().len(), 3);
    }
}

#[test]
fn which_are_shown() {
    let box_ = containers();
    let names = |args: &[&str]| box_.dhow(&[&["ps", "--format", "{{.Names}}"], args].concat()).lines();
    let none: [&str; 0] = [];
    assert_eq!(names(&["-l"]), ["made"]);
    assert_eq!(names(&["-n", "2"]), ["made", "ended"]);
    assert_eq!(names(&["-f", "status=exited"]), ["ended"]);
    assert_eq!(names(&["-f", "status=running", "-f", "status=created"]), ["made", "up"]);
    assert_eq!(names(&["-a", "-f", "exited=3"]), ["ended"]);
    assert_eq!(names(&["-a", "-f", "exited=0"]), none);
    assert_eq!(names(&["-f", "name=^u"]), ["up"]);
    assert_eq!(names(&["-a", "-f", "name=e$|^up$"]), ["made", "up"]);
    assert_eq!(names(&["-a", "-f", "label=role"]), ["made", "up"]);
    assert_eq!(names(&["-a", "-f", "label=role=db"]), ["made"]);
    assert_eq!(names(&["-a", "-f", "ancestor=box"]).len(), 4);
    assert_eq!(names(&["-a", "-f", "ancestor=absent"]), none);
    assert_eq!(names(&["-a", "-f", "before=ended"]), ["held", "up"]);
    assert_eq!(names(&["-a", "-f", "since=ended"]), ["made"]);
    let id = box_.shown("up", "{{.Id}}");
    assert_eq!(names(&["-f", &format!("id={}", &id[..8])]), ["up"]);
    box_.dhow(&["ps", "-f", "nonsense=1"]).fails(&["invalid filter 'nonsense'"]);
    box_.dhow(&["ps", "-f", "status"]).fails_with(125, &["bad format of filter"]);
}

#[test]
fn ids_and_formats() {
    let box_ = containers();
    let id = box_.shown("up", "{{.Id}}");
    assert_eq!(box_.dhow(&["ps", "-q", "-f", "name=up"]).text(), id[..12]);
    assert_eq!(box_.dhow(&["ps", "-q", "--no-trunc", "-f", "name=up"]).text(), id);
    let row: Value =
        serde_json::from_str(&box_.dhow(&["ps", "--no-trunc", "--format", "json", "-f", "name=up"]).text()).unwrap();
    assert_eq!(row["ID"], id);
    assert_eq!((&row["Image"], &row["Names"], &row["State"]), (&"box".into(), &"up".into(), &"running".into()));
    assert_eq!((&row["Labels"], &row["Networks"]), (&"role=web".into(), &"bridge".into()));
    assert_eq!(row["Command"], "\"sleep 1000\"");
    for key in ["CreatedAt", "LocalVolumes", "Mounts", "Ports", "RunningFor", "Size", "Status"] {
        assert!(row[key].is_string(), "{key} in {row}");
    }
    let table = box_.dhow(&["ps", "--format", "table {{.Names}}\t{{.State}}", "-f", "name=up"]).lines();
    assert_eq!(table[0].split_whitespace().collect::<Vec<_>>(), ["NAMES", "STATE"]);
    assert!(box_.dhow(&["ps", "-s"]).text().contains("(virtual "));
    box_.dhow(&["ps", "--format", "{{.Absent}}"]).fails(&["Absent"]);
}

#[test]
fn an_image_that_lost_its_name_is_shown_by_its_id() {
    let box_ = containers();
    let id = box_.id("box");
    box_.dhow(&["tag", "box", "other"]).ok();
    box_.dhow(&["rmi", "-f", "box"]).ok();
    assert_eq!(box_.dhow(&["ps", "--format", "{{.Image}}", "-f", "name=up"]).text(), id[7..19]);
}

#[test]
fn info_counts_them() {
    let box_ = containers();
    let counts = "{{.Containers}} {{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}}";
    assert_eq!(box_.dhow(&["info", "--format", counts]).text(), "4 1 1 2");
}
