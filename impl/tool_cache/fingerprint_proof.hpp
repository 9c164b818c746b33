// Hashes a file or directory and says whether the hash may be remembered by its stamp.
//
// The promise is that a remembered fingerprint is never given for changed content. It is kept by
// remembering the pair (stamp, hash) only when every change from then on gives another stamp, and
// believing it only while that still holds:
//
//  1. The filesystem stamps every write, and writes through a mapping when they fault
//     (core::stamps_betray_changes). The ctime of a stamp is the kernel's; no call sets it.
//  2. The file's clock is read (now), then the stamp is taken, and its times lie before now by more
//     than a tick (settled). So what is stamped from then on differs from it: its ctime is later.
//     This is what git calls racy, and answers by looking again later.
//  3. After that, at one moment, nobody has the file open or mapped for writing (writers_of). A
//     write is stamped when it begins, and one that had begun before would change the content
//     afterwards without another stamp; so would a page that is mapped and already dirty. With
//     nobody there, whatever changes the content must first open the file, and is stamped after
//     now.
//  4. Then the content is hashed. By 2 and 3 it is the content of that moment, or the stamp is
//     another for good. It is taken again at the end, so that no useless pair is kept.
//  5. The clock was not set back since: then a change could get a time that has been before, and
//     the very nanosecond of the stamp is possible. The epoch (core::ClockEpoch) is read before
//     now, and again after the stamp at every use, and must be the same; where it was set by less
//     than that tells, settled() has left as much room. Another boot is another epoch.
//
// A directory is listed under the lock under which its entries and its times change, so that 3 has
// nothing to say. An inode that is deleted and used again has its new file's ctime, which is after
// now; hence a pair is true of whatever file has that stamp, and nothing depends on which path led
// to it. What cannot be proven is hashed each time.
#pragma once

#include <cstdint>
#include <string>

#include "core/file_stamp.hpp"
#include "core/result.hpp"
#include "tool_cache/fingerprint.hpp"

namespace satchel::tool_cache {

enum class Proof : std::uint8_t {
  kProven,
  kLater,  // changed a moment ago, or somebody may still be writing
  kNever,
};

enum class Effort : std::uint8_t {
  kNoProof,  // the fingerprint, and nothing else is asked
  kAnswer,   // the fingerprint in any case; the disk is not waited for
  kProof,    // the fingerprint only with a proof; the disk may be waited for
};

struct Hashed {
  Proof proof = Proof::kNever;
  core::FileStamp stamp;
  core::ClockEpoch epoch;
  std::string fingerprint;  // empty if there is none
};

// `form` is content or directory. Errors as from fingerprint().
core::Result<Hashed> hash_with_proof(const std::string& path, Form form, Effort effort);

}  // namespace satchel::tool_cache
