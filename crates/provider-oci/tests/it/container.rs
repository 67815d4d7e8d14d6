//! What a container is from the inside, and how it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use provider_oci::container::{ContainerSpec, Exit};

use crate::harness::Test;
use crate::support::{Host, block_on};

pub const TESTS: &[Test] = &[
    ("container::it_runs_and_reports_its_exit", it_runs_and_reports_its_exit),
    ("container::its_namespaces_are_its_own", its_namespaces_are_its_own),
    ("container::root_has_few_capabilities_and_gains_none", root_has_few_capabilities_and_gains_none),
    ("container::another_user_has_no_capability", another_user_has_no_capability),
    ("container::a_read_only_root_has_a_writable_tmp", a_read_only_root_has_a_writable_tmp),
    ("container::layers_are_stacked_and_stay_as_they_are", layers_are_stacked_and_stay_as_they_are),
    ("container::kernel_files_are_masked", kernel_files_are_masked),
    ("container::environment_and_folder_are_as_told", environment_and_folder_are_as_told),
    ("container::many_start_at_once", many_start_at_once),
    ("container::one_that_is_dropped_ends", one_that_is_dropped_ends),
];

fn it_runs_and_reports_its_exit() {
    block_on(async {
        let host = Host::new().await;
        let (exit, text) = host.run(&host.spec("a", "echo hello; echo oops >&2; exit 7")).await;
        assert_eq!((exit, text.as_str()), (Exit::Code(7), "hello\noops\n"));

        let script = "trap 'exit 3' TERM; echo; while :; do sleep 0.05; done";
        let (container, mut output) = host.start(&host.spec("b", script)).await;
        output.begun().await;
        assert_eq!(container.stop(Duration::from_secs(20)).await, Exit::Code(3));

        // The first process of a pid namespace never sees a signal that it does not catch: there is nothing to wait for.
        let (container, _output) = host.start(&host.spec("c", "exec sleep 1000")).await;
        let begun = std::time::Instant::now();
        assert_eq!(container.stop(Duration::from_secs(1000)).await, Exit::Signal(9));
        assert!(begun.elapsed() < Duration::from_secs(20));

        let (container, mut output) =
            host.start(&host.spec("d", "trap : TERM; echo; while :; do sleep 0.05; done")).await;
        output.begun().await;
        assert_eq!(container.stop(Duration::from_millis(100)).await, Exit::Signal(9));
    });
}

fn its_namespaces_are_its_own() {
    block_on(async {
        let host = Host::new().await;
        let script = "for n in mnt pid ipc uts net; do echo $n=$(readlink /proc/self/ns/$n); done; echo first=$$; \
                      echo host=$(hostname); echo lo=$(ip -o link | wc -l) $(ip addr | grep -c 127.0.0.1); \
                      echo mounts=$(grep -c . /proc/mounts); \
                      ls /proc/1/fd; true";
        let (exit, text) = host.run(&host.spec("a", script)).await;
        assert_eq!(exit, Exit::Code(0), "{text}");
        let told: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
        for kind in ["mnt", "pid", "ipc", "uts", "net"] {
            let ours = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            assert!(told[kind].starts_with(kind), "{text}");
            assert_ne!(told[kind], ours.to_str().unwrap(), "{kind}");
        }
        assert_eq!((told["host"], told["first"]), ("test", "1"));
        assert_eq!(told["lo"], "1 1", "loopback alone, and up");
        assert!(text.ends_with("\n0\n1\n2\n"), "nothing of the launcher is open inside: {text}");
        let mounts: usize = told["mounts"].parse().unwrap();
        assert!(mounts < 30, "the host's mounts are not seen: {mounts}");
    });
}

fn root_has_few_capabilities_and_gains_none() {
    block_on(async {
        let host = Host::new().await;
        let (_, text) =
            host.run(&host.spec("a", "cat /proc/self/status; mknod /tmp/n c 1 3 || echo refused")).await;
        let status = Status::parse(&text);
        // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID NET_BIND_SERVICE
        let few = (1 << 0) | (1 << 1) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 10);
        assert_eq!(status.hex("CapBnd"), few);
        assert_eq!(status.hex("CapEff"), few);
        assert_eq!((status.hex("CapInh"), status.hex("CapAmb")), (0, 0));
        assert_eq!(status.text("NoNewPrivs"), "1");
        assert_eq!(status.text("Uid"), "0 0 0 0");
        // Real-time signals aside: the C library starts processes with two of its own ignored.
        assert_eq!(
            (status.hex("SigBlk"), status.hex("SigIgn") & 0x7fff_ffff),
            (0, 0),
            "no signal is held back"
        );
        assert!(text.contains("refused"), "no device can be made");
    });
}

fn another_user_has_no_capability() {
    block_on(async {
        let host = Host::new().await;
        let script = "cat /proc/self/status; echo home=$HOME; echo x > /dev/stdout && echo y > /dev/stderr; \
                      echo > /etc/passwd || echo refused";
        let spec = |id: &str, user: &str| ContainerSpec { user: user.to_owned(), ..host.spec(id, script) };
        let check = async |id: &str, user: &str, uid: &str, groups: &str, home: &str| {
            let (exit, text) = host.run(&spec(id, user)).await;
            assert_eq!(exit, Exit::Code(0), "{text}");
            let status = Status::parse(&text);
            assert_eq!(status.text("Uid").split(' ').next(), Some(uid), "{user}");
            assert_eq!(status.text("Groups").trim(), groups, "{user}");
            for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
                assert_eq!(status.hex(set), 0, "{user}: {set}");
            }
            assert!(text.contains(&format!("home={home}\n")), "{text}");
            assert!(text.contains("x\n") && text.contains("y\n"), "its own output can be opened: {text}");
            assert!(text.contains("refused"), "{text}");
        };
        check("a", "app", "1000", "10", "/home/app").await;
        check("b", "12000", "12000", "", "/").await;
        check("c", "12000:13000", "12000", "", "/").await;
    });
}

fn a_read_only_root_has_a_writable_tmp() {
    block_on(async {
        let host = Host::new().await;
        let script = "touch /here && echo root writable; touch /tmp/there && echo tmp writable; \
                      head -c 100000000 /dev/zero > /tmp/big || echo bounded; touch /dev/x && echo dev writable";
        let spec = ContainerSpec { read_only: true, ..host.spec("a", script) };
        let (_, text) = host.run(&spec).await;
        assert!(!text.contains("root writable") && text.contains("tmp writable"), "{text}");
        assert!(text.contains("bounded"), "{text}");
        let (exit, text) = host.run(&host.spec("b", "touch /here && echo root writable")).await;
        assert_eq!((exit, text.as_str()), (Exit::Code(0), "root writable\n"));
    });
}

fn layers_are_stacked_and_stay_as_they_are() {
    block_on(async {
        let host = Host::new().await;
        let upper = host.folder.path().join("odd,name:\\ here");
        std::fs::create_dir_all(upper.join("etc")).unwrap();
        std::fs::write(upper.join("etc/motd"), "upper").unwrap();
        std::fs::create_dir_all(host.layer().join("etc")).unwrap();
        std::fs::write(host.layer().join("etc/motd"), "lower").unwrap();
        let mut spec = host.spec("a", "cat /etc/motd; echo changed > /etc/motd; rm -r /home; ls -d /home");
        spec.layers.push(upper.clone());
        let (_, text) = host.run(&spec).await;
        assert!(text.starts_with("upper") && text.contains("No such file"), "{text}");
        assert_eq!(std::fs::read_to_string(upper.join("etc/motd")).unwrap(), "upper");
        assert!(host.layer().join("home").exists());
        // As many as the longest images have.
        let mut spec = host.spec("b", "echo deep");
        for n in 0..120 {
            let layer = host.folder.path().join(format!("{}{n}", "l".repeat(60)));
            std::fs::create_dir(&layer).unwrap();
            spec.layers.push(layer);
        }
        assert_eq!(host.run(&spec).await.1, "deep\n");
    });
}

fn kernel_files_are_masked() {
    block_on(async {
        let host = Host::new().await;
        let script = "cat /proc/kcore | wc -c; cat /proc/keys | wc -c; ls /sys/firmware | wc -l; \
                      echo 1 > /proc/sys/kernel/panic || echo sysctl refused; echo 0 > /proc/sysrq-trigger || echo sysrq refused; \
                      mkdir /sys/fs/x || echo sys refused; ls /sys/fs/cgroup | wc -l; mount -t tmpfs x /mnt || echo mount refused";
        let (_, text) = host.run(&host.spec("a", script)).await;
        let lines: Vec<_> = text.lines().filter(|line| !line.contains(':')).collect();
        assert_eq!(lines[..3], ["0", "0", "0"], "{text}");
        for what in ["sysctl", "sysrq", "sys", "mount"] {
            assert!(text.contains(&format!("{what} refused")), "{what}: {text}");
        }
    });
}

fn environment_and_folder_are_as_told() {
    block_on(async {
        let host = Host::new().await;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut spec = host.spec("a", "pwd; env");
        spec.cwd = "/made/for/this".to_owned();
        spec.env =
            vec![pair("A", "b=c"), pair("EMPTY", ""), pair("UNICODE", "käse"), pair("odd.name-1", "x")];
        let (exit, text) = host.run(&spec).await;
        assert_eq!(exit, Exit::Code(0), "{text}");
        for line in ["/made/for/this", "A=b=c", "EMPTY=", "UNICODE=käse", "HOME=/root", "HOSTNAME=test"] {
            assert!(text.lines().any(|told| told == line), "{line}: {text}");
        }
        // A shell drops names that it cannot hold, env itself does not.
        spec.id = "b".to_owned();
        spec.args = vec!["env".to_owned()];
        let (_, text) = host.run(&spec).await;
        assert!(text.contains("odd.name-1=x"), "{text}");
        assert!(text.contains("PATH=/usr/local/sbin"), "{text}");
        assert!(!text.contains("CARGO"), "nothing of the platform's environment is inside: {text}");
    });
}

fn many_start_at_once() {
    block_on(async {
        let host = Host::new().await;
        let specs: Vec<_> = (0..24).map(|n| host.spec(&format!("r{n}"), &format!("echo {n}"))).collect();
        let mut started = Vec::new();
        let runs = specs.iter().map(|spec| host.run(spec));
        let mut runs: Vec<_> = runs.map(Box::pin).collect();
        // Polled together, so that the launcher has all the requests at once.
        std::future::poll_fn(|context| {
            runs.retain_mut(|run| match run.as_mut().poll(context) {
                std::task::Poll::Ready(result) => {
                    started.push(result);
                    false
                }
                std::task::Poll::Pending => true,
            });
            if runs.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        let mut told: Vec<u32> = started.iter().map(|(_, text)| text.trim().parse().unwrap()).collect();
        told.sort_unstable();
        assert_eq!(told, (0..24).collect::<Vec<_>>());
        assert!(started.iter().all(|(exit, _)| *exit == Exit::Code(0)));
    });
}

fn one_that_is_dropped_ends() {
    block_on(async {
        let host = Host::new().await;
        let (container, output) = host.start(&host.spec("a", "echo; sleep 1000")).await;
        let again = host.try_start(&host.spec("a", "echo")).await.map(drop);
        assert!(again.unwrap_err().to_string().contains("exists"));
        drop(container);
        // Its end is seen at the end of its output.
        output.read().await;
    });
}

struct Status<'a>(BTreeMap<&'a str, String>);

impl<'a> Status<'a> {
    fn parse(text: &'a str) -> Self {
        let fields = text.lines().filter_map(|line| line.split_once(":\t"));
        Status(fields.map(|(name, value)| (name, value.replace('\t', " "))).collect())
    }

    fn text(&self, name: &str) -> &str {
        &self.0[name]
    }

    fn hex(&self, name: &str) -> u64 {
        u64::from_str_radix(self.text(name), 16).unwrap()
    }
}
