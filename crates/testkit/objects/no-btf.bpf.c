// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// bpf-objects: remove .BTF .BTF.ext
// An object as if compiled without -g.
#include "fields.bpf.c"
