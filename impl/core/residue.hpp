// What libraries leave of a secret where no allocator reaches: in vector registers, through which
// it was copied and encrypted, and on the stack, where the dynamic linker saves those registers
// whenever a function is called for the first time.
#pragma once

namespace satchel::core {

// The calling thread's registers that a call need not keep, and 64 KiB of its stack below the
// caller: more than libcurl and its TLS library go down. Known for x86-64 and 64-bit ARM; elsewhere
// the stack alone.
void wipe_residue() noexcept;

}  // namespace satchel::core
