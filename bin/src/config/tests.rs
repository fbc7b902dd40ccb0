use super::*;

fn read(text: &str) -> Result<Config, String> {
    Config::read(Path::new("/etc/quicast.toml"), text, &Registry::default())
}

const WHOLE: &str = r#"
[serve]
listen = ["localhost:4433", "[::]:443"]
cert = "chain.pem"
key = "/secret/key.pem"
shards = 4
busy_poll = "50us"
retry = true

[congestion]
default = "newreno"
apply_to = "new"

[[congestion.rule]]
name = "satellite"
cidr = ["203.0.113.0/24", "2001:db8:5::/48"]
rtt = "100ms.."
use = "cubic"

[[congestion.rule]]
name = "uploads"
alpn = "h3"
sni = ["upload.*"]
role = "server"
use = "newreno"
params = {}
"#;

#[test]
fn a_whole_file_is_read() {
    let config = read(WHOLE).unwrap();
    let CongestionSettings { rules, has_default, apply_to } = &config.congestion;
    assert_eq!((rules.default, *has_default, *apply_to), (Algorithm::NEW_RENO, true, ApplyTo::New));
    let shown: Vec<String> = rules.rules.iter().map(|rule| format!("{} {}", rule.name, rule.selector)).collect();
    assert_eq!(
        shown,
        ["satellite cidr=203.0.113.0/24,cidr=2001:db8:5::/48,rtt=100ms..", "uploads alpn=h3,sni=upload.*,role=server"]
    );
    let identity = Some((PathBuf::from("/etc/chain.pem"), PathBuf::from("/secret/key.pem")));
    assert_eq!(config.serve.identity, identity, "names are relative to the file's folder");
    assert_eq!((config.serve.shards, config.serve.retry), (Some(4), true));
    assert!(read("").unwrap().congestion.rules.rules.is_empty());
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let rule = "[[congestion.rule]]\nname = \"a\"\n";
    for (text, begin, words) in [
        ("[congestion\n", "1:12:", ""),
        ("[congestion]\ndefault = 7\n", "2:11:", "string"),
        ("[congestion]\ndefalt = \"cubic\"\n", "2:1:", "defalt"),
        ("[congestion]\ndefault = \"cubik\"\n", "2:11:", "did you mean \"cubic\""),
        ("[congestion]\napply_to = \"old\"\n", "2:12:", "live"),
        ("[serve]\nshards = 65\n", "2:10:", "1 to 64"),
        ("[serve]\ncert = \"x\"\n", "2:8:", "key"),
        ("[serve]\nbusy_poll = \"1s\"\n", "2:13:", "50us"),
        (&format!("{rule}cidr = [\"10.0.0.0/8\", \"10.0.0.1/8\"]\nuse = \"cubic\"\n"), "3:23:", "with zeros after"),
        (&format!("{rule}cidr = \"10.0.0.1/8\"\nuse = \"cubic\"\n"), "3:8:", "with zeros after"),
        (&format!("{rule}use = \"reno2\"\n"), "3:7:", "did you mean \"newreno\""),
        (&format!("{rule}use = \"cubic\"\nparams = {{ speed = 7 }}\n"), "4:20:", "speed"),
        (&format!("{rule}role = \"judge\"\nuse = \"cubic\"\n"), "3:8:", "client or server"),
        (&format!("{rule}rtt = \"fast\"\nuse = \"cubic\"\n"), "3:7:", "50ms..200ms"),
        (&format!("{rule}use = \"cubic\"\n{rule}use = \"cubic\"\n"), "5:8:", "another rule is named \"a\""),
        (rule, "1:1:", "use"),
    ] {
        let said = read(text).unwrap_err();
        assert!(said.starts_with(&format!("/etc/quicast.toml:{begin}")), "{text}: {said}");
        assert!(said.contains(words) && !said.contains('\n'), "{text}: {said}");
    }
}

#[test]
fn there_is_a_number_of_rules_that_is_read_and_one_more_that_is_not() {
    let rules = |count: usize| {
        (0..count).map(|rule| format!("[[congestion.rule]]\nname = \"{rule}\"\nuse = \"cubic\"\n")).collect::<String>()
    };
    assert!(read(&rules(256)).is_ok());
    assert!(read(&rules(257)).unwrap_err().contains("at most 256 rules"));
}
