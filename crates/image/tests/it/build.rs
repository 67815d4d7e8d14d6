//! Builds from Dockerfiles, looked at from outside: digests, file trees, configurations, and words of refusal.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use image::{BuildOptions, BuiltinFile, BuiltinImage, Image, ImageError, ImportOptions, PullOptions, Store};

use crate::fixture::*;
use crate::registry::Registry;

struct Builder {
    dir: tempfile::TempDir,
    store: Store,
}

impl Builder {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("images")).unwrap();
        let builder = Self { dir, store };
        std::fs::create_dir(builder.context()).unwrap();
        for (name, content) in files {
            builder.write(name, content.as_bytes());
        }
        builder
    }

    fn context(&self) -> std::path::PathBuf {
        self.dir.path().join("context")
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.context().join(name);
        let parent = path.parent().unwrap();
        std::fs::create_dir_all(parent).unwrap();
        std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn options(&self, dockerfile: &str) -> BuildOptions {
        self.write("Dockerfile", dockerfile.as_bytes());
        let tags = vec!["built:1".parse().unwrap()];
        BuildOptions { context_dir: self.context(), tags, ..BuildOptions::default() }
    }

    fn try_build(&self, options: BuildOptions) -> Result<Image, ImageError> {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(self.store.build(options))
    }

    fn build(&self, dockerfile: &str) -> Image {
        self.try_build(self.options(dockerfile))
            .unwrap_or_else(|error| panic!("{}\n{dockerfile}", chain(&error)))
    }

    fn refused(&self, dockerfile: &str, expected: &str) {
        let before = self.store.list().unwrap();
        match self.try_build(self.options(dockerfile)) {
            Ok(_) => panic!("was built:\n{dockerfile}"),
            Err(error) => {
                let text = chain(&error);
                assert!(text.contains(expected), "{text:?} says nothing of {expected:?}\n{dockerfile}");
            }
        }
        assert_eq!(self.store.list().unwrap(), before);
    }

    fn import(&self, name: &str, layers: &[Vec<u8>]) {
        self.store.import_reader(&mut &docker_save(&[name], layers)[..], &ImportOptions::default()).unwrap();
    }
}

fn top(image: &Image) -> &Path {
    image.layer_dirs.last().unwrap()
}

fn read(image: &Image, path: &str) -> String {
    let found = image.layer_dirs.iter().rev().map(|dir| dir.join(path)).find(|path| path.exists());
    std::fs::read_to_string(found.unwrap_or_else(|| panic!("no {path}"))).unwrap()
}

fn env(image: &Image) -> Vec<String> {
    let env = image.config.config().as_ref().unwrap().env().clone().unwrap();
    env.into_iter().filter(|entry| !entry.starts_with("PATH=")).collect()
}

#[test]
fn the_same_input_gives_the_same_digest() {
    let dockerfile = "FROM scratch\nCOPY b a /d/\nCOPY sub /s\nENV A=b\nLABEL z=1 a=2 m=3\nCMD [\"/d/a\"]\n";
    let files = [("a", "aaa"), ("b", "bbb"), ("sub/x", "x"), ("sub/y/z", "z")];
    let (one, two) = (Builder::new(&files), Builder::new(&files));
    let (first, again, other) = (one.build(dockerfile), one.build(dockerfile), two.build(dockerfile));
    assert_eq!(first.digest, again.digest);
    assert_eq!(first.digest, other.digest);
    // Of archives without compression: they must not change with a library.
    let diff_ids = first.config.rootfs().diff_ids().clone();
    assert_eq!(
        diff_ids,
        [
            "sha256:1c564b201df25011f62aa924f369e1717dbdf6713c178f8884bfaad815477679",
            "sha256:cf2aea684b30485401c95e3770e846015acb7461c3bb0724cb589cb41786abe2"
        ]
    );
    assert_eq!(first.config.created().as_deref(), Some("1970-01-01T00:00:00Z"));
    let mut dated = one.options(dockerfile);
    dated.source_date_epoch = 1_700_000_000;
    let dated = one.try_build(dated).unwrap();
    assert_ne!(dated.digest, first.digest);
    assert_eq!(std::fs::metadata(top(&dated).join("s/x")).unwrap().mtime(), 1_700_000_000);
}

#[test]
fn the_configuration_is_what_the_instructions_say() {
    let builder = Builder::new(&[("app", "app")]);
    let image = builder.build(
        "# syntax=docker/dockerfile:1\nARG VERSION=3\nFROM scratch AS base\nARG VERSION\nARG WHO=nobody\n\
         ENV A=1 B=\"two words\" \\\n  # between\n  C=${A:-x}$VERSION\nENV D $A-$WHO\nENV E='$A' F=\\$A\n\
         LABEL org.example=\"$B\" plain=yes\nWORKDIR /srv\nWORKDIR app\nUSER 1000:1000\nEXPOSE 8080 53/udp 9000-9002\n\
         VOLUME [\"/data\"]\nVOLUME /more /some\nSTOPSIGNAL SIGQUIT\nHEALTHCHECK --interval=5s CMD true\n\
         MAINTAINER someone\nENTRYPOINT [\"/app\", \"$A\"]\nCMD run \\\n  this\n",
    );
    let config = image.config.config().as_ref().unwrap();
    assert_eq!(env(&image), ["A=1", "B=two words", "C=x3", "D=1-nobody", "E=$A", "F=$A"]);
    assert_eq!(config.labels().as_ref().unwrap().get("org.example").unwrap(), "two words");
    assert_eq!(config.working_dir().as_deref(), Some("/srv/app"));
    assert_eq!(config.user().as_deref(), Some("1000:1000"));
    assert_eq!(config.exposed_ports().as_ref().unwrap().len(), 5);
    assert_eq!(config.volumes().as_ref().unwrap().len(), 3);
    assert_eq!(config.stop_signal().as_deref(), Some("SIGQUIT"));
    assert_eq!(config.entrypoint().as_ref().unwrap(), &["/app", "$A"]);
    assert_eq!(config.cmd().as_ref().unwrap(), &["/bin/sh", "-c", "run   this"]);
    assert!(image.layer_dirs.iter().any(|dir| dir.join("srv/app").is_dir()));
}

#[test]
fn arguments_labels_and_target_come_from_outside() {
    let builder = Builder::new(&[("a", "a"), ("b", "b")]);
    let mut options = builder.options(
        "ARG BASE=scratch\nFROM $BASE AS first\nARG X=default\nENV X=$X T=$TARGETARCH\nCOPY a /\nFROM first AS second\nRUN never\n",
    );
    options.build_args = BTreeMap::from([("X".into(), "given".into())]);
    options.labels = BTreeMap::from([("l".into(), "v".into())]);
    options.target = Some("FIRST".into());
    options.tags.push("also:2".parse().unwrap());
    let image = builder.try_build(options).unwrap();
    assert_eq!(env(&image), ["X=given", "T="]);
    assert_eq!(image.config.config().as_ref().unwrap().labels().as_ref().unwrap()["l"], "v");
    assert!(builder.store.resolve(&"also:2".parse().unwrap()).unwrap().is_some());
}

#[test]
fn copies_land_where_docker_puts_them() {
    let files = [("a.txt", "a"), ("b.txt", "b"), ("dir/c.txt", "c"), ("dir/deep/d", "d"), ("bin/tool", "t")];
    let builder = Builder::new(&files);
    let check = |instructions: &str, expected: &[&str]| {
        let image = builder.build(&format!("FROM scratch\n{instructions}\n"));
        let mut names: Vec<String> = image.layer_dirs.iter().flat_map(|dir| tree(dir)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names, expected, "{instructions}");
    };
    check("COPY a.txt /", &["a.txt"]);
    check("COPY a.txt /x", &["x"]);
    check("COPY a.txt /x/", &["x/", "x/a.txt"]);
    check("COPY a.txt b.txt /x/", &["x/", "x/a.txt", "x/b.txt"]);
    check("COPY *.txt x/", &["x/", "x/a.txt", "x/b.txt"]);
    check("COPY [\"a.txt\", \"/with space\"]", &["with space"]);
    check("COPY dir /x", &["x/", "x/c.txt", "x/deep/", "x/deep/d"]);
    check("COPY dir/ .", &["c.txt", "deep/", "deep/d"]);
    check("COPY d*/c.txt /x/", &["x/", "x/c.txt"]);
    check("COPY /dir/deep/../c.txt /y", &["y"]);
    check("WORKDIR /w\nCOPY a.txt .", &["w/", "w/a.txt"]);
    check("WORKDIR /w\nCOPY a.txt ../v/", &["v/", "v/a.txt", "w/"]);
    check("COPY dir /x\nCOPY a.txt /x", &["x/", "x/a.txt", "x/c.txt", "x/deep/", "x/deep/d"]);
    check(
        "COPY . /all",
        &[
            "all/",
            "all/Dockerfile",
            "all/a.txt",
            "all/b.txt",
            "all/bin/",
            "all/bin/tool",
            "all/dir/",
            "all/dir/c.txt",
            "all/dir/deep/",
            "all/dir/deep/d",
        ],
    );
    let image = builder.build("FROM scratch\nCOPY --chown=7:8 --chmod=0750 --link a.txt /x\n");
    let metadata = std::fs::metadata(top(&image).join("x")).unwrap();
    assert_eq!(
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777, metadata.mtime()),
        (7, 8, 0o750, 0)
    );
}

#[test]
fn ignored_files_are_not_there() {
    let builder = Builder::new(&[
        ("keep", "k"),
        ("drop.log", "x"),
        ("t/a", "a"),
        ("t/b", "b"),
        (".dockerignore", "*.log\nt\n!t/b\n.dockerignore\nDockerfile\n"),
    ]);
    assert_eq!(tree(top(&builder.build("FROM scratch\nCOPY . /\n"))), ["keep", "t/", "t/b"]);
    builder.refused(
        "FROM scratch\nCOPY drop.log /\n",
        "drop.log is not there; check the path and .dockerignore",
    );
    builder.refused("FROM scratch\nCOPY *.log /\n", "check the path and .dockerignore");
}

#[test]
fn links_of_the_context_do_not_leave_it() {
    let builder = Builder::new(&[("real", "r"), ("d/x", "x")]);
    std::fs::write(builder.dir.path().join("secret"), "secret").unwrap();
    symlink("real", builder.context().join("inside")).unwrap();
    symlink("../secret", builder.context().join("outside")).unwrap();
    symlink("/etc", builder.context().join("host")).unwrap();
    symlink("/etc/passwd", builder.context().join("d/passwd")).unwrap();
    assert_eq!(read(&builder.build("FROM scratch\nCOPY inside /x\n"), "x"), "r");
    builder.refused("FROM scratch\nCOPY outside /x\n", "line 2: source outside is not there");
    builder.refused("FROM scratch\nCOPY host/passwd /x\n", "line 2: source host/passwd is not there");
    builder.refused("FROM scratch\nCOPY ../secret /x\n", "outside of the context");
    // Within a directory a link is copied as one, and means what it means in the container.
    assert_eq!(
        tree(top(&builder.build("FROM scratch\nCOPY d /d\n"))),
        ["d/", "d/passwd -> /etc/passwd", "d/x"]
    );
}

#[test]
fn stages_bases_and_builtins_are_copied_from() {
    let builder = Builder::new(&[("a", "from context")]);
    let base = tar(&[
        dir("usr"),
        dir("usr/bin"),
        symlink_entry("bin", "usr/bin"),
        Entry { mode: 0o1777, ..dir("tmp") },
        file("usr/bin/tool", "tool"),
        file("gone", ""),
    ]);
    let upper = tar(&[file(".wh.gone", "")]);
    builder.import("base:1", &[base, upper]);
    let mut options = builder.options(
        "FROM base:1 AS one\nCOPY a /bin/a\nFROM scratch AS unused\nRUN false\nFROM base:1\nCOPY --from=one /bin/a /bin/b\n\
         COPY --from=0 /usr /copied\nCOPY --from=base:1 /bin/tool /tmp/tool\n\
         COPY --from=minke/fwatchdog /fwatchdog /usr/bin/fwatchdog\n",
    );
    let content = std::sync::Arc::from(&b"watchdog"[..]);
    let files = vec![BuiltinFile { path: "/fwatchdog".into(), mode: 0o755, content }];
    options.builtin = BTreeMap::from([("minke/fwatchdog".into(), BuiltinImage { files })]);
    let image = builder.try_build(options).unwrap();
    assert_eq!(read(&image, "usr/bin/b"), "from context");
    assert_eq!(read(&image, "usr/bin/fwatchdog"), "watchdog");
    assert_eq!(read(&image, "tmp/tool"), "tool");
    let own: Vec<_> = image.layer_dirs[2..].iter().map(|dir| tree(dir)).collect();
    assert_eq!(own[0], ["usr/", "usr/bin/", "usr/bin/b"], "a link of the base is not hidden by a directory");
    assert_eq!(own[1], ["copied/", "copied/bin/", "copied/bin/a", "copied/bin/tool"]);
    let tmp = std::fs::metadata(image.layer_dirs[4].join("tmp")).unwrap();
    assert_eq!(tmp.mode() & 0o7777, 0o1777, "a directory of the base keeps its mode");
    assert_eq!(std::fs::metadata(top(&image).join("usr/bin/fwatchdog")).unwrap().mode() & 0o777, 0o755);
    assert_eq!(env(&image), ["A=b"], "the configuration of the base is kept");
    builder.refused("FROM base:1\nCOPY --from=base:1 /gone /x\n", "source /gone is not there");
}

fn symlink_entry(name: &str, target: &str) -> Entry {
    crate::fixture::symlink(name, target)
}

#[test]
fn add_takes_local_archives_apart() {
    let builder = Builder::new(&[("plain.txt", "p")]);
    let archive =
        tar(&[Entry { uid: 5, mode: 0o600, ..file("in/side", "s") }, crate::fixture::symlink("l", "in")]);
    builder.write("a.tar", &archive);
    builder.write("a.tgz", &gzip(&archive));
    for name in ["a.tar", "a.tgz"] {
        let image = builder.build(&format!("FROM scratch\nADD {name} /x\n"));
        assert_eq!(tree(top(&image)), ["x/", "x/in/", "x/in/side", "x/l -> in"]);
        let side = std::fs::metadata(top(&image).join("x/in/side")).unwrap();
        assert_eq!((side.uid(), side.mode() & 0o777), (5, 0o600));
    }
    assert_eq!(tree(top(&builder.build("FROM scratch\nADD plain.txt /x\nCOPY a.tgz /\n"))), ["a.tgz"]);
    builder.write("evil.tar", &tar(&[file("../x", "x")]));
    builder.refused("FROM scratch\nADD evil.tar /\n", "`..`");
    assert_eq!(std::fs::read_dir(builder.store.dir().join("tmp")).unwrap().count(), 0);
}

#[test]
fn what_is_not_supported_is_said_with_its_line() {
    let builder = Builder::new(&[("a", "a"), ("b", "b"), ("d/x", "x")]);
    let check = |dockerfile: &str, expected: &str| builder.refused(dockerfile, expected);
    check(
        "FROM scratch\n\nRUN make \\\n  all\n",
        "RUN is not supported yet (Dockerfile line 3): make   all; build the image with docker",
    );
    check("", "line 1: expected at least one FROM");
    check("COPY a /\n", "line 1: expected FROM");
    check("FROM scratch\nFOO bar\n", "line 2: unknown instruction 'FOO'");
    check("FROM scratch\nCOPY a\n", "line 2: COPY instruction requires at least two arguments");
    check("FROM scratch\nCOPY nothing /\n", "line 2: source nothing is not there");
    check("FROM scratch\nCOPY a b /x\n", "end the destination \"/x\" with /");
    check("FROM scratch\nCOPY <<EOF /x\nhi\nEOF\n", "line 2: COPY of a here-document is not supported");
    check(
        "FROM scratch\nADD https://example.com/x /\n",
        "line 2: ADD of https://example.com/x is not supported",
    );
    check("FROM scratch\nCOPY --parents a /\n", "line 2: COPY has the flag --parents");
    check("FROM scratch\nCOPY --chown=www a /\n", "--chown=www is not supported by name");
    check("FROM scratch\nCOPY --chmod=u+x a /\n", "--chmod=u+x is invalid");
    check("FROM scratch\nCOPY --from=3 a /\n", "line 2");
    check("FROM scratch AS me\nCOPY --from=me a /\n", "is the stage itself");
    check("FROM scratch\nCOPY a ../../x\n", "leaves the image");
    check("FROM scratch\nCOPY a /f\nCOPY b /f/x\n", "line 3: f is a file");
    check("FROM scratch\nCOPY d /d\nCOPY a /d/x/\n", "is a file");
    check("FROM scratch\nENV A\n", "line 2: ENV needs a value");
    check("FROM scratch\nENV A=\"b\n", "line 2: ENV has a \" that is not closed");
    check("FROM scratch\nENV A=\"${B:?must be given}\"\n", "line 2: ENV needs the variable B: must be given");
    check("FROM scratch\nENV A=${B%x}\n", "unsupported form of ${B}");
    check("FROM scratch\nEXPOSE http\n", "line 2: EXPOSE http is invalid");
    check("FROM scratch\nEXPOSE 1-65535\n", "is invalid");
    check("FROM scratch\nONBUILD COPY a /\n", "line 2: ONBUILD is not supported");
    check("FROM --platform=linux/s390x scratch\n", "line 1: --platform=linux/s390x is not supported");
    check("FROM Bad:Image:Name\n", "line 1: image");
    check("FROM $NOTHING\n", "line 1: FROM has no image");
    check("FROM scratch AS 1st\n", "stage name \"1st\" is invalid");
    check("FROM 127.0.0.1:1/nothing:1\n", "line 1 failed: cannot reach registry 127.0.0.1:1");
    let mut options = builder.options("FROM scratch\n");
    options.target = Some("other".into());
    assert!(builder.try_build(options).unwrap_err().to_string().contains("no stage \"other\""));
    let mut options = builder.options("FROM scratch\n");
    options.tags.clear();
    assert!(builder.try_build(options).unwrap_err().to_string().contains("give it one with a tag"));
    assert_empty(&builder.store);
}

#[test]
fn a_base_is_pulled_when_it_is_not_here() {
    let builder = Builder::new(&[("a", "a")]);
    let registry = Registry::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(registry.push("base:1", &[tar(&[file("base", "b")])]));
    let mut options = builder.options(&format!("FROM {}/base:1\nCOPY a /\n", registry.address));
    options.pull = PullOptions::default();
    let image = builder.try_build(options).unwrap();
    assert_eq!((read(&image, "base"), read(&image, "a")), ("b".into(), "a".into()));
}
