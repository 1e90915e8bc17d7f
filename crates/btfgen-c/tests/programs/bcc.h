/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program finds in the btf_helpers.h of BCC's libbpf-tools. */
#ifndef BCC_H
#define BCC_H

#include <bpf/libbpf.h>

int ensure_core_btf(struct bpf_object_open_opts *opts);
void cleanup_core_btf(struct bpf_object_open_opts *opts);

#endif
