/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program needs from its host, besides BTF. */
#ifndef HOST_H
#define HOST_H

/* Prints on stderr why the kernel may have refused a program, and what to do. `error` is the negative errno. */
void explain_load_error(int error);

/* The same for a program that could not be attached to its tracepoint. */
void explain_attach_error(int error);

#endif
