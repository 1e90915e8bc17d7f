// SPDX-License-Identifier: BSD-2-Clause
// Relocates an object by the BTF in a file with the libbpf that it is linked with, and prints the programs' instructions, or
// that libbpf refuses the object. Nothing is loaded: the programs have a type that no kernel has.
//
//     libbpf OBJECT BTF [PROGRAMS]
//
// PROGRAMS is a mask in hexadecimal: only programs whose bits are set are relocated.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

static int refused;

static int listen(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)arguments;
    if (level == LIBBPF_WARN && strstr(format, "CO-RE relocations"))
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
    if (!object)
        return 2;
    struct bpf_program *program;
    unsigned int n = 0;
    bpf_object__for_each_program(program, object) {
        bpf_program__set_type(program, 9999);
        bpf_program__set_autoload(program, programs >> n++ & 1);
    }
    if (!bpf_object__load(object))
        return 4;
    if (refused) {
        puts("refused");
        return 0;
    }
    bpf_object__for_each_program(program, object) {
        if (!bpf_program__autoload(program))
            continue;
        const struct bpf_insn *instructions = bpf_program__insns(program);
        printf("%s", bpf_program__name(program));
        for (size_t i = 0; i < bpf_program__insn_cnt(program); i++) {
            struct bpf_insn instruction = instructions[i];
            // A map's descriptor is whatever number was free.
            if (instruction.code == 0x18 && instruction.src_reg)
                instruction.imm = 0;
            const unsigned char *bytes = (const void *)&instruction;
            putchar(' ');
            for (size_t byte = 0; byte < sizeof(instruction); byte++)
                printf("%02x", bytes[byte]);
        }
        putchar('\n');
    }
    return 0;
}
