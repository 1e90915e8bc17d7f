// SPDX-License-Identifier: BSD-2-Clause
// Relocates an object by the BTF in a file with the libbpf that it is linked with, and prints the programs' instructions, or
// "refused", or "unread" if libbpf does not reach the relocations. Nothing is loaded, because the programs have a type that no
// kernel has.
//
//     libbpf OBJECT BTF [PROGRAMS]
//
// PROGRAMS is a mask in hexadecimal: only programs whose bits are set are relocated.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

static int reached, refused, unread;

// libbpf has no call that reports its progress, but every version prints these words.
static int listen(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)arguments;
    if (level == LIBBPF_DEBUG && strstr(format, "found %d CO-RE relocations"))
        reached = 1;
    if (level == LIBBPF_WARN && strstr(format, "failed to parse target BTF"))
        unread = 1;
    if (level == LIBBPF_WARN && strstr(format, "failed to perform CO-RE relocations"))
        refused = 1;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 3;
    unsigned long programs = argc > 3 ? strtoul(argv[3], NULL, 16) : ~0UL;
    libbpf_set_print(listen);
    LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = argv[2]);
    struct bpf_object *object = bpf_object__open_file(argv[1], &options);
    // Before 1.0, libbpf returns errors as pointers.
    if (libbpf_get_error(object)) {
        puts("unread: the object");
        return 0;
    }
    // libbpf creates maps before it relocates programs, and some maps need a size that their own program sets.
    struct bpf_map *map;
    bpf_object__for_each_map(map, object)
        bpf_map__set_autocreate(map, false);
    struct bpf_program *program;
    unsigned int n = 0;
    bpf_object__for_each_program(program, object) {
        bpf_program__set_type(program, 9999);
        // Up to 1.1, libbpf still looks for the function of an fentry program, in a BTF that was not read for this type. A
        // descriptor of no program ends that search early.
        bpf_program__set_attach_target(program, 9999, NULL);
        bpf_program__set_autoload(program, programs >> n++ & 1);
    }
    if (!bpf_object__load(object)) {
        puts("unread: no program was asked for");
        return 0;
    }
    if (unread) {
        puts("unread: the BTF");
        return 0;
    }
    if (refused) {
        puts("refused");
        return 0;
    }
    if (!reached) {
        puts("unread: it has no relocations, needs what is not here, or this process may not use BPF");
        return 0;
    }
    bpf_object__for_each_program(program, object) {
        if (!bpf_program__autoload(program))
            continue;
        const struct bpf_insn *instructions = bpf_program__insns(program);
        printf("%s", bpf_program__name(program));
        for (size_t i = 0; i < bpf_program__insn_cnt(program); i++) {
            const unsigned char *bytes = (const void *)&instructions[i];
            putchar(' ');
            for (size_t byte = 0; byte < sizeof(instructions[i]); byte++)
                printf("%02x", bytes[byte]);
        }
        putchar('\n');
    }
    return 0;
}
