//! URLs that are taken, and why others are not.

use super::*;

fn refused(raw: &str) -> Option<UrlFault> {
    ReceiverUrl::parse(raw, Reach::Internet).err()
}

fn kept(raw: &str) -> String {
    match ReceiverUrl::parse(raw, Reach::Internet) {
        Ok(url) => url.expose().to_owned(),
        Err(fault) => panic!("{raw}: {fault}"),
    }
}

#[test]
fn what_is_taken_is_kept_in_one_spelling() {
    for (raw, url) in [
        ("https://hooks.example.com", "https://hooks.example.com/"),
        (
            "https://hooks.example.com/a?t=1",
            "https://hooks.example.com/a?t=1",
        ),
        (
            "HTTPS://Hooks.Example.COM:443/A",
            "https://hooks.example.com/A",
        ),
        (
            "https://hooks.example.com./a",
            "https://hooks.example.com/a",
        ),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("https://example.com:1024/", "https://example.com:1024/"),
        ("https://example.com:65535/", "https://example.com:65535/"),
        ("https://xn--fiqs8s.example/", "https://xn--fiqs8s.example/"),
        ("https://local.example.com/", "https://local.example.com/"),
        (
            "https://localhost.example.com/",
            "https://localhost.example.com/",
        ),
        ("https://mylocal.net/", "https://mylocal.net/"),
        ("https://1.2.3.example/", "https://1.2.3.example/"),
        ("https://8.8.8.8/a", "https://8.8.8.8/a"),
        ("https://134744072/", "https://8.8.8.8/"),
        ("https://0x8.0x8.0x808/", "https://8.8.8.8/"),
        ("https://010.010.010.010/", "https://8.8.8.8/"),
        ("https://8.8.8.8./", "https://8.8.8.8/"),
        ("https://%38.8.8.8/", "https://8.8.8.8/"),
        ("https://[2400:3200::1]/", "https://[2400:3200::1]/"),
        ("https://example.com/?a=b@c", "https://example.com/?a=b@c"),
        ("https://example.com/a/../b", "https://example.com/b"),
    ] {
        assert_eq!(kept(raw), url, "{raw}");
        assert_eq!(kept(url), url, "once more: {raw}");
    }
}

#[test]
fn each_fault_is_told() {
    use UrlFault as F;
    let label = "a".repeat(64);
    let long_name = format!("https://{}com/", "abcdefg.".repeat(32));
    let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX));
    let grows = format!("https://example.com/{}", "{".repeat(200));
    for (raw, fault) in [
        ("", F::Length),
        (&*long, F::Length),
        (&*grows, F::Length),
        (" https://example.com/", F::Characters),
        ("https://example.com/\n", F::Characters),
        ("https://exa\tmple.com/", F::Characters),
        ("https://example.com/红包", F::Characters),
        ("https://１２７.0.0.1/", F::Characters),
        ("https://127。0。0。1/", F::Characters),
        ("https://good.example\\@bad.example/", F::Characters),
        ("example.com/hook", F::NotAbsolute),
        ("www.example.com", F::NotAbsolute),
        ("//example.com/hook", F::NotAbsolute),
        ("https:example.com", F::NotAbsolute),
        ("://example.com", F::NotAbsolute),
        ("http://example.com/", F::NotHttps),
        ("http://127.0.0.1:8080/", F::NotHttps),
        ("ftp://example.com/", F::NotHttps),
        ("file://example.com/etc/passwd", F::NotHttps),
        ("gopher://example.com:6379/_x", F::NotHttps),
        ("https://user@example.com/", F::UserInfo),
        ("https://user:pw@example.com/", F::UserInfo),
        ("https://@example.com/", F::UserInfo),
        ("https://example.com@127.0.0.1/", F::UserInfo),
        ("https://example.com/#a", F::Fragment),
        ("https://example.com/#", F::Fragment),
        ("https://", F::NoHost),
        ("https:///example.com/", F::NoHost),
        ("https://?a", F::NoHost),
        ("https://:8443/", F::NoHost),
        ("https://a..example.com/", F::Name),
        ("https://.example.com/", F::Name),
        ("https://example.com../", F::Name),
        ("https://-a.example.com/", F::Name),
        ("https://a-.example.com/", F::Name),
        ("https://a_b.example.com/", F::Name),
        ("https://*.example.com/", F::Name),
        (&*format!("https://{label}.example.com/"), F::Name),
        (&*long_name, F::Name),
        ("https://256.256.256.256/", F::Name),
        ("https://1.2.3.4.5/", F::Name),
        ("https://0x100000000/", F::Name),
        ("https://[fe80::1%25eth0]/", F::Name),
        ("https://[::1/", F::Name),
        ("https://example.com:22/", F::Port),
        ("https://example.com:80/", F::Port),
        ("https://example.com:0/", F::Port),
        ("https://example.com:1023/", F::Port),
        ("https://example.com:65536/", F::Port),
        ("https://example.com:x/", F::Port),
    ] {
        assert_eq!(refused(raw), Some(fault), "{raw}");
    }
}

#[test]
fn names_of_the_inside_are_refused() {
    for raw in [
        "https://localhost/",
        "https://localhost./",
        "https://LOCALHOST/",
        "https://a.localhost/",
        "https://printer.local/",
        "https://printer.local./",
        "https://metadata.google.internal/",
        "https://metadata.google.internal./",
        "https://ip-10-0-0-1.ec2.internal/",
        "https://kubernetes/",
        "https://kubernetes.default.svc/",
        "https://kubernetes.default.svc.cluster.local/",
        "https://wiki.corp/",
        "https://nas.home.arpa/",
        "https://nas.lan/",
        "https://1.0.0.127.in-addr.arpa/",
        "https://%6c%6fcalhost/",
    ] {
        assert_eq!(refused(raw), Some(UrlFault::InnerName), "{raw}");
    }
}

/// All spellings that some parser, somewhere, takes for an address of the inside.
#[test]
fn addresses_of_the_inside_are_refused_in_every_spelling() {
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "0X7F000001",
        "017700000001",
        "2130706433",
        "127.0.0.0x1",
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
        "0",
        "0.0.0.0",
        "0x0",
        "10.0.0.1",
        "10.1",
        "0xa.0.0.1",
        "167772161",
        "172.16.0.1",
        "192.168.1.1",
        "192.168.257",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "100.100.100.200",
        "168.63.129.16",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:8.8.8.8]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
    ] {
        for url in [format!("https://{host}/"), format!("https://{host}:8443/x")] {
            assert_eq!(refused(&url), Some(UrlFault::InnerAddress), "{url}");
        }
    }
}

#[test]
fn loopback_is_for_the_demo_alone() {
    for raw in [
        "http://127.0.0.1:9000/hook",
        "http://127.9.9.9:9000/hook",
        "http://localhost:9000/hook",
        "http://[::1]:9000/hook",
        "https://127.0.0.1:9000/hook",
        "https://localhost:9000/hook",
    ] {
        let url = ReceiverUrl::parse(raw, Reach::InternetAndLoopback).unwrap();
        assert_eq!(url.expose(), raw);
        assert!(url.is_within(Reach::InternetAndLoopback) && !url.is_within(Reach::Internet));
        assert!(refused(raw).is_some(), "{raw}");
    }
    for (raw, fault) in [
        ("http://example.com:9000/", UrlFault::NotHttps),
        ("http://8.8.8.8:9000/", UrlFault::NotHttps),
        ("http://10.0.0.1:9000/", UrlFault::NotHttps),
        ("http://a.localhost:9000/", UrlFault::NotHttps),
        ("http://[::ffff:127.0.0.1]:9000/", UrlFault::NotHttps),
        ("http://0.0.0.0:9000/", UrlFault::NotHttps),
        ("http://127.0.0.1/", UrlFault::Port),
        ("https://10.0.0.1/", UrlFault::InnerAddress),
        ("https://169.254.169.254/", UrlFault::InnerAddress),
        ("https://a.localhost/", UrlFault::InnerName),
    ] {
        let said = ReceiverUrl::parse(raw, Reach::InternetAndLoopback).err();
        assert_eq!(said, Some(fault), "{raw}");
    }
    let public = ReceiverUrl::parse("https://example.com/", Reach::InternetAndLoopback).unwrap();
    assert!(public.is_within(Reach::Internet));
}

#[test]
fn the_query_is_for_the_receiver_alone() {
    let url = ReceiverUrl::parse("https://example.com/hook?token=s3cret", Reach::Internet).unwrap();
    assert_eq!(url.shown(), "https://example.com/hook?…");
    assert_eq!(url.to_string(), url.shown());
    assert_eq!(
        format!("{url:?}"),
        "ReceiverUrl(https://example.com/hook?…)"
    );
    assert!(url.expose().ends_with("?token=s3cret"));
    assert_eq!((url.host(), url.address()), ("example.com", None));
    let plain = ReceiverUrl::parse("https://8.8.8.8/hook", Reach::Internet).unwrap();
    assert_eq!(plain.shown(), "https://8.8.8.8/hook");
    assert_eq!(plain.address(), Some("8.8.8.8".parse().unwrap()));
}

#[test]
fn sentences_name_the_bound() {
    assert!(
        UrlFault::Length
            .to_string()
            .contains(&URL_BYTES_MAX.to_string())
    );
    assert!(
        UrlFault::Name
            .to_string()
            .contains(&NAME_BYTES_MAX.to_string())
    );
    assert!(
        UrlFault::Name
            .to_string()
            .contains(&LABEL_BYTES_MAX.to_string())
    );
}
