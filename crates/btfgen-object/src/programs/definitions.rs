//! What libbpf takes a program for, from the name of its ELF section.

/// What the name of a section says about its programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Definition {
    /// The program type, as [`Feature`](crate::Feature) names it.
    pub(super) program_type: &'static str,
    /// The attach type, as [`Feature`](crate::Feature) names it.
    pub(super) attach_type: Option<&'static str>,
    /// Whether the program may sleep.
    pub(super) is_sleepable: bool,
}

impl Definition {
    /// The definition of a section's name, without a leading `?`; `None` if libbpf does not know the name.
    pub(super) fn of(section: &str) -> Option<Self> {
        let &(_, program_type, attach_type, is_sleepable) = DEFINITIONS
            .iter()
            .find(|(pattern, ..)| matches(pattern, section))?;
        Some(Self {
            program_type,
            attach_type: Some(attach_type).filter(|name| !name.is_empty()),
            is_sleepable,
        })
    }
}

/// Whether a section has this name. A `+` at the end of a pattern also matches `/` and anything behind it.
fn matches(pattern: &str, section: &str) -> bool {
    match pattern.strip_suffix('+') {
        None => section == pattern,
        Some(prefix) => section
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

/// The table `section_defs` of libbpf 1.7: pattern, program type, attach type, whether the program may sleep. The first match
/// counts. libbpf before 1.0 also took names that only begin like one of these; newer ones of these names need a newer libbpf.
#[rustfmt::skip]
const DEFINITIONS: &[(&str, &str, &str, bool)] = &[
    ("socket", "socket_filter", "", false),
    ("sk_reuseport/migrate", "sk_reuseport", "sk_reuseport_select_or_migrate", false),
    ("sk_reuseport", "sk_reuseport", "sk_reuseport_select", false),
    ("kprobe+", "kprobe", "", false),
    ("uprobe+", "kprobe", "", false),
    ("uprobe.s+", "kprobe", "", true),
    ("kretprobe+", "kprobe", "", false),
    ("uretprobe+", "kprobe", "", false),
    ("uretprobe.s+", "kprobe", "", true),
    ("kprobe.multi+", "kprobe", "trace_kprobe_multi", false),
    ("kretprobe.multi+", "kprobe", "trace_kprobe_multi", false),
    ("kprobe.session+", "kprobe", "trace_kprobe_session", false),
    ("uprobe.multi+", "kprobe", "trace_uprobe_multi", false),
    ("uretprobe.multi+", "kprobe", "trace_uprobe_multi", false),
    ("uprobe.session+", "kprobe", "trace_uprobe_session", false),
    ("uprobe.multi.s+", "kprobe", "trace_uprobe_multi", true),
    ("uretprobe.multi.s+", "kprobe", "trace_uprobe_multi", true),
    ("uprobe.session.s+", "kprobe", "trace_uprobe_session", true),
    ("ksyscall+", "kprobe", "", false),
    ("kretsyscall+", "kprobe", "", false),
    ("usdt+", "kprobe", "", false),
    ("usdt.s+", "kprobe", "", true),
    ("tc/ingress", "sched_cls", "tcx_ingress", false),
    ("tc/egress", "sched_cls", "tcx_egress", false),
    ("tcx/ingress", "sched_cls", "tcx_ingress", false),
    ("tcx/egress", "sched_cls", "tcx_egress", false),
    ("tc", "sched_cls", "", false),
    ("classifier", "sched_cls", "", false),
    ("action", "sched_act", "", false),
    ("netkit/primary", "sched_cls", "netkit_primary", false),
    ("netkit/peer", "sched_cls", "netkit_peer", false),
    ("tracepoint+", "tracepoint", "", false),
    ("tp+", "tracepoint", "", false),
    ("raw_tracepoint+", "raw_tracepoint", "", false),
    ("raw_tp+", "raw_tracepoint", "", false),
    ("raw_tracepoint.w+", "raw_tracepoint_writable", "", false),
    ("raw_tp.w+", "raw_tracepoint_writable", "", false),
    ("tp_btf+", "tracing", "trace_raw_tp", false),
    ("fentry+", "tracing", "trace_fentry", false),
    ("fmod_ret+", "tracing", "modify_return", false),
    ("fexit+", "tracing", "trace_fexit", false),
    ("fentry.s+", "tracing", "trace_fentry", true),
    ("fmod_ret.s+", "tracing", "modify_return", true),
    ("fexit.s+", "tracing", "trace_fexit", true),
    ("fsession+", "tracing", "trace_fsession", false),
    ("fsession.s+", "tracing", "trace_fsession", true),
    ("freplace+", "ext", "", false),
    ("lsm+", "lsm", "lsm_mac", false),
    ("lsm.s+", "lsm", "lsm_mac", true),
    ("lsm_cgroup+", "lsm", "lsm_cgroup", false),
    ("iter+", "tracing", "trace_iter", false),
    ("iter.s+", "tracing", "trace_iter", true),
    ("syscall", "syscall", "", true),
    ("xdp.frags/devmap", "xdp", "xdp_devmap", false),
    ("xdp/devmap", "xdp", "xdp_devmap", false),
    ("xdp.frags/cpumap", "xdp", "xdp_cpumap", false),
    ("xdp/cpumap", "xdp", "xdp_cpumap", false),
    ("xdp.frags", "xdp", "xdp", false),
    ("xdp", "xdp", "xdp", false),
    ("perf_event", "perf_event", "", false),
    ("lwt_in", "lwt_in", "", false),
    ("lwt_out", "lwt_out", "", false),
    ("lwt_xmit", "lwt_xmit", "", false),
    ("lwt_seg6local", "lwt_seg6local", "", false),
    ("sockops", "sock_ops", "cgroup_sock_ops", false),
    ("sk_skb/stream_parser", "sk_skb", "sk_skb_stream_parser", false),
    ("sk_skb/stream_verdict", "sk_skb", "sk_skb_stream_verdict", false),
    ("sk_skb/verdict", "sk_skb", "sk_skb_verdict", false),
    ("sk_skb", "sk_skb", "", false),
    ("sk_msg", "sk_msg", "sk_msg_verdict", false),
    ("lirc_mode2", "lirc_mode2", "lirc_mode2", false),
    ("flow_dissector", "flow_dissector", "flow_dissector", false),
    ("cgroup_skb/ingress", "cgroup_skb", "cgroup_inet_ingress", false),
    ("cgroup_skb/egress", "cgroup_skb", "cgroup_inet_egress", false),
    ("cgroup/skb", "cgroup_skb", "", false),
    ("cgroup/sock_create", "cgroup_sock", "cgroup_inet_sock_create", false),
    ("cgroup/sock_release", "cgroup_sock", "cgroup_inet_sock_release", false),
    ("cgroup/sock", "cgroup_sock", "cgroup_inet_sock_create", false),
    ("cgroup/post_bind4", "cgroup_sock", "cgroup_inet4_post_bind", false),
    ("cgroup/post_bind6", "cgroup_sock", "cgroup_inet6_post_bind", false),
    ("cgroup/bind4", "cgroup_sock_addr", "cgroup_inet4_bind", false),
    ("cgroup/bind6", "cgroup_sock_addr", "cgroup_inet6_bind", false),
    ("cgroup/connect4", "cgroup_sock_addr", "cgroup_inet4_connect", false),
    ("cgroup/connect6", "cgroup_sock_addr", "cgroup_inet6_connect", false),
    ("cgroup/connect_unix", "cgroup_sock_addr", "cgroup_unix_connect", false),
    ("cgroup/sendmsg4", "cgroup_sock_addr", "cgroup_udp4_sendmsg", false),
    ("cgroup/sendmsg6", "cgroup_sock_addr", "cgroup_udp6_sendmsg", false),
    ("cgroup/sendmsg_unix", "cgroup_sock_addr", "cgroup_unix_sendmsg", false),
    ("cgroup/recvmsg4", "cgroup_sock_addr", "cgroup_udp4_recvmsg", false),
    ("cgroup/recvmsg6", "cgroup_sock_addr", "cgroup_udp6_recvmsg", false),
    ("cgroup/recvmsg_unix", "cgroup_sock_addr", "cgroup_unix_recvmsg", false),
    ("cgroup/getpeername4", "cgroup_sock_addr", "cgroup_inet4_getpeername", false),
    ("cgroup/getpeername6", "cgroup_sock_addr", "cgroup_inet6_getpeername", false),
    ("cgroup/getpeername_unix", "cgroup_sock_addr", "cgroup_unix_getpeername", false),
    ("cgroup/getsockname4", "cgroup_sock_addr", "cgroup_inet4_getsockname", false),
    ("cgroup/getsockname6", "cgroup_sock_addr", "cgroup_inet6_getsockname", false),
    ("cgroup/getsockname_unix", "cgroup_sock_addr", "cgroup_unix_getsockname", false),
    ("cgroup/sysctl", "cgroup_sysctl", "cgroup_sysctl", false),
    ("cgroup/getsockopt", "cgroup_sockopt", "cgroup_getsockopt", false),
    ("cgroup/setsockopt", "cgroup_sockopt", "cgroup_setsockopt", false),
    ("cgroup/dev", "cgroup_device", "cgroup_device", false),
    ("struct_ops+", "struct_ops", "", false),
    ("struct_ops.s+", "struct_ops", "", true),
    ("sk_lookup", "sk_lookup", "sk_lookup", false),
    ("netfilter", "netfilter", "netfilter", false),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::{Feature, FeatureKind};

    /// Check that names match as in libbpf: whole, or up to a slash where a target may follow.
    #[test]
    fn names() {
        let program_type = |section| Definition::of(section).map(|found| found.program_type);
        assert_eq!(program_type("kprobe"), Some("kprobe"));
        assert_eq!(program_type("kprobe/do_unlinkat"), Some("kprobe"));
        assert_eq!(program_type("fentry.s/x"), Some("tracing"));
        assert_eq!(program_type("tc"), Some("sched_cls"));
        for unknown in [
            "", "kprobes", "kprobe.", "tc/", "tc/x", "xdp_drop", "maps", "?kprobe",
        ] {
            assert_eq!(program_type(unknown), None, "{unknown}");
        }
    }

    /// Check that the table of features has every type that the definitions name.
    #[test]
    fn types_are_known() {
        for &(pattern, program_type, attach_type, _) in DEFINITIONS {
            let program_type = Feature::by_name(FeatureKind::ProgramType, program_type);
            assert!(program_type.is_some(), "{pattern}");
            if !attach_type.is_empty() {
                let attach_type = Feature::by_name(FeatureKind::AttachType, attach_type);
                assert!(attach_type.is_some(), "{pattern}");
            }
        }
    }
}
