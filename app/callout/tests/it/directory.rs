//! A directory: Debian's `slapd` on loopback.

use std::path::Path;
use std::process::Command;

use crate::world::{Running, World, asking, free_port, is_refused, place, servers, wait_for_port};

const SLAPD: &str = "/usr/sbin/slapd";

/// A directory with two people and a group.
struct Directory {
    _slapd: Running,
    plain: u16,
    tls: u16,
}

const PEOPLE: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: cn=reader,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: reader-pw

dn: uid=alice,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: A
mail: alice@example.org
departmentNumber: emea
userPassword: alice-pw

dn: uid=bob,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
userPassword: bob-pw

dn: cn=sales,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: sales
member: uid=alice,ou=people,dc=example,dc=org
";

impl Directory {
    /// `None`, and said so, where slapd is not installed.
    fn start(folder: &Path) -> Option<Self> {
        if !Path::new(SLAPD).is_file() {
            crate::world::leave_out("no directory here: apt-get install slapd");
            return None;
        }
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
            .expect("a certificate");
        std::fs::write(folder.join("ldap.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("ldap.key"), made.signing_key.serialize_pem()).unwrap();
        std::fs::create_dir(folder.join("db")).unwrap();
        let at = folder.display();
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             TLSCertificateFile {at}/ldap.pem\nTLSCertificateKeyFile {at}/ldap.key\n\
             database mdb\nsuffix \"dc=example,dc=org\"\nrootdn \"cn=admin,dc=example,dc=org\"\ndirectory {at}/db\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn=\"cn=reader,dc=example,dc=org\" read by self read by * none\n"
        );
        std::fs::write(folder.join("slapd.conf"), config).unwrap();
        std::fs::write(folder.join("people.ldif"), PEOPLE).unwrap();
        let filled = Command::new("/usr/sbin/slapadd")
            .arg("-f")
            .arg(folder.join("slapd.conf"))
            .arg("-l")
            .arg(folder.join("people.ldif"))
            .output();
        let filled = filled.expect("slapadd runs");
        assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
        let (plain, tls) = (free_port(), free_port());
        let urls = format!("ldap://127.0.0.1:{plain}/ ldaps://127.0.0.1:{tls}/");
        let slapd =
            Running::start(Command::new(SLAPD).args(["-d", "0", "-h", &urls, "-f"]).arg(folder.join("slapd.conf")));
        wait_for_port(plain);
        wait_for_port(tls);
        Some(Self { _slapd: slapd, plain, tls })
    }
}

fn searching(url: &str, more: &str) -> String {
    format!(
        "[[provider]]\nkind = \"ldap\"\nurl = {url:?}\n{more}\n\
         bind_dn = \"cn=reader,dc=example,dc=org\"\nbind_password = \"reader-pw\"\nuser_base = \"ou=people,dc=example,dc=org\"\n\
         group_base = \"ou=groups,dc=example,dc=org\"\nattributes = [\"mail\", \"departmentNumber\"]\ntimeout = \"5s\"\n{RULES}"
    )
}

const RULES: &str = r#"
[[rule]]
groups = ["sales"]
account = "APP"
pub_allow = ["orders.{{claim.departmentNumber}}.{{name}}", "$SYS.REQ.USER.INFO"]
sub_allow = ["_INBOX.>"]

[[rule]]
account = "GUESTS"
"#;

#[tokio::test]
async fn a_user_is_found_by_search_and_placed_by_group() {
    let folder = tempfile::tempdir().unwrap();
    let Some(directory) = Directory::start(folder.path()) else { return };
    for server in servers() {
        let world = World::open(&server, &asking(""));
        let url = format!("ldaps://127.0.0.1:{}", directory.tls);
        world.config("callout.toml", "", &searching(&url, &format!("ca = {:?}", folder.path().join("ldap.pem"))));
        let mut service = world.serve("callout.toml");
        let alice = world.password("alice", "alice-pw").await.expect("alice is let in");
        let (account, allowed) = place(&alice).await;
        assert_eq!((account.as_str(), allowed.first().map(String::as_str)), ("APP", Some("orders.emea.alice")));
        let bob = world.password("bob", "bob-pw").await.expect("bob is let in");
        assert_eq!(place(&bob).await.0, "GUESTS");

        // A directory does not care for case and blanks; rights are those of the name that it keeps.
        let shouted = world.password("ALICE", "alice-pw").await.expect("alice is let in");
        assert_eq!(place(&shouted).await.1.first().map(String::as_str), Some("orders.emea.alice"));

        is_refused(world.password("alice", "bob-pw").await);
        service.wait_for("ldap does not know user \"alice\" with this password");
        is_refused(world.password("mallory", "x").await);
        // An empty password is an anonymous visit, which a directory says yes to.
        is_refused(world.password("alice", "").await);
        // What is typed is a name, never a part of a filter or of another name.
        for odd in ["*", "a*", "alice)(uid=*", "alice,ou=people,dc=example,dc=org", "\\2a", "alice)(objectClass=*"] {
            is_refused(world.password(odd, "alice-pw").await);
        }
        world.password("alice", "alice-pw").await.expect("the service is still there");
    }
}

#[tokio::test]
async fn a_name_can_be_made_and_tls_started() {
    let folder = tempfile::tempdir().unwrap();
    let Some(directory) = Directory::start(folder.path()) else { return };
    let world = World::open(&servers().remove(0), &asking(""));
    let provider = format!(
        "[[provider]]\nkind = \"ldap\"\nurl = \"ldap://127.0.0.1:{}\"\nstarttls = true\nca = {:?}\n\
         user_dn = \"uid={{user}},ou=people,dc=example,dc=org\"\ntimeout = \"5s\"\n{RULES}",
        directory.plain,
        folder.path().join("ldap.pem")
    );
    world.config("callout.toml", "", &provider);
    let _service = world.serve("callout.toml");
    world.password("alice", "alice-pw").await.expect("alice is let in");
    for odd in ["alice,ou=people,dc=example,dc=org", "alice+cn=Alice", "*"] {
        is_refused(world.password(odd, "alice-pw").await);
    }
}

#[tokio::test]
async fn a_directory_that_is_away_or_not_itself_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let Some(directory) = Directory::start(folder.path()) else { return };
    let world = World::open(&servers().remove(0), &asking(""));
    // Nobody vouches for the directory's certificate.
    world.config("stranger.toml", "", &searching(&format!("ldaps://127.0.0.1:{}", directory.tls), ""));
    {
        let mut service = world.serve("stranger.toml");
        is_refused(world.password("alice", "alice-pw").await);
        service.wait_for("could not connect");
    }
    let dead = free_port();
    world.config("dead.toml", "", &searching(&format!("ldap://127.0.0.1:{dead}"), ""));
    let mut service = world.serve("dead.toml");
    is_refused(world.password("alice", "alice-pw").await);
    service.wait_for("refused: ldap at ldap://127.0.0.1");
}
