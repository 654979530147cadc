use super::*;

const MALLOC: Shape = Shape { operation: Operation::Allocate, size: 1, count: 0, pointer: 0 };
const CALLOC: Shape = Shape { operation: Operation::Allocate, size: 2, count: 1, pointer: 0 };
const FREE: Shape = Shape { operation: Operation::Free, size: 0, count: 0, pointer: 1 };

#[test]
fn placements_by_hand() {
    let emulated = |offset| Placement { offset, emulated: true };
    let first = Placement { offset: 0, emulated: false };
    let cases: &[(&str, &[u8], Shape, Placement)] = &[
        ("push r12", &[0x41, 0x54, 0x90], MALLOC, emulated(0)),
        ("test rdi,rdi; je", &[0x48, 0x85, 0xff, 0x74, 0x10, 0xc3], FREE, emulated(3)),
        ("endbr64; push rbp", &[0xf3, 0x0f, 0x1e, 0xfa, 0x55], MALLOC, emulated(4)),
        ("jmp rel32", &[0xe9, 1, 2, 3, 4], MALLOC, emulated(0)),
        ("jmp rax is stepped", &[0xff, 0xe0], MALLOC, first),
        ("mov edi,1 spoils the size; push rbp", &[0xbf, 1, 0, 0, 0, 0x55], MALLOC, first),
        ("mov esi,1 does not matter to malloc", &[0xbe, 1, 0, 0, 0, 0x55], MALLOC, emulated(5)),
        ("but to calloc", &[0xbe, 1, 0, 0, 0, 0x55], CALLOC, first),
        ("sub rsp,8 hides the return address; je", &[0x48, 0x83, 0xec, 8, 0x74, 0], MALLOC, first),
        ("free has no return probe", &[0x48, 0x83, 0xec, 8, 0x74, 0], FREE, emulated(4)),
        ("ret comes first", &[0x31, 0xc0, 0xc3, 0x55], MALLOC, first),
        // xor eax,eax; push rbp; jmp -3 (to the push)
        ("a branch leads back", &[0x31, 0xc0, 0x55, 0xeb, 0xfd], MALLOC, first),
        ("push imm is stepped", &[0x6a, 1, 0xc3], MALLOC, first),
        ("no code", &[], MALLOC, first),
        ("nonsense", &[0x06], MALLOC, first),
    ];
    for (name, code, shape, expected) in cases {
        assert_eq!(place(code, *shape), *expected, "{name}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_have_a_placement_on_an_instruction_inside(code in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let placed = place(&code, FREE);
        proptest::prop_assert!(placed.offset == 0 || usize::from(placed.offset) < code.len());
    }
}
