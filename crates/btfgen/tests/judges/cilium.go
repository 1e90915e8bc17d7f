// SPDX-License-Identifier: BSD-2-Clause

// Relocates objects by BTFs in files with cilium/ebpf. Nothing is loaded.
//
//	cilium BTF OBJECT [BTF OBJECT]...
//
// A line for each program with relocations: the number of its pair, its name, and the relocated instructions, or
// "refused" with the reason. An object that cannot be read has "unread" instead of the name. If a BTF is named several times in a
// row, it is read once.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Older versions know only one target, and only the object's own local types.
func fixups(relocations []*btf.CORERelocation, target *btf.Spec, order binary.ByteOrder) ([]btf.COREFixup, error) {
	localID := func(btf.Type) (btf.TypeID, error) { return 1, nil }
	switch relocate := any(btf.CORERelocate).(type) {
	case func([]*btf.CORERelocation, []*btf.Spec, binary.ByteOrder, func(btf.Type) (btf.TypeID, error)) ([]btf.COREFixup, error):
		return relocate(relocations, []*btf.Spec{target}, order, localID)
	case func([]*btf.CORERelocation, *btf.Spec, binary.ByteOrder) ([]btf.COREFixup, error):
		return relocate(relocations, target, order)
	}
	return nil, errors.ErrUnsupported
}

// One instruction. A type's id is replaced by the type's name, because the number differs between BTFs.
func text(instruction *asm.Instruction, relocation *btf.CORERelocation, target *btf.Spec) string {
	constant := fmt.Sprintf("%x", instruction.Constant)
	if strings.HasPrefix(relocation.String(), "CORERelocation(target_type_id,") {
		// The number that means "not found" belongs to no type.
		if found, err := target.TypeByID(btf.TypeID(instruction.Constant)); err == nil {
			constant = fmt.Sprintf("%T:%s", found, found.TypeName())
		}
	}
	return fmt.Sprintf("%x.%d.%d.%d.%s", uint64(instruction.OpCode), instruction.Dst, instruction.Src, instruction.Offset, constant)
}

// The program's relocated instructions; "" if it has none.
func relocated(program *ebpf.ProgramSpec, target *btf.Spec) (string, error) {
	var relocations []*btf.CORERelocation
	var instructions []*asm.Instruction
	for i := range program.Instructions {
		instruction := &program.Instructions[i]
		if relocation := btf.CORERelocationMetadata(instruction); relocation != nil {
			relocations = append(relocations, relocation)
			instructions = append(instructions, instruction)
		}
	}
	if relocations == nil {
		return "", nil
	}
	fixups, err := fixups(relocations, target, program.ByteOrder)
	if err != nil {
		return "", err
	}
	var line strings.Builder
	for i := range fixups {
		if err := fixups[i].Apply(instructions[i]); err != nil {
			return "", err
		}
		line.WriteString(" " + text(instructions[i], relocations[i], target))
	}
	return line.String(), nil
}

func judge(number int, target *btf.Spec, object string) {
	collection, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		fmt.Printf("%d\tunread\t%v\n", number, err)
		return
	}
	var names []string
	for name := range collection.Programs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		line, err := relocated(collection.Programs[name], target)
		if err != nil {
			line = "refused: " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		if line != "" {
			fmt.Printf("%d\t%s\t%s\n", number, name, line)
		}
	}
}

func main() {
	pairs := os.Args[1:]
	if len(pairs) < 2 || len(pairs)%2 != 0 {
		os.Exit(3)
	}
	path := ""
	var target *btf.Spec
	var err error
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] != path {
			path = pairs[i]
			target, err = btf.LoadSpec(path)
		}
		if err != nil {
			fmt.Printf("%d\tunread\t%v\n", i/2, err)
			continue
		}
		judge(i/2, target, pairs[i+1])
	}
}
