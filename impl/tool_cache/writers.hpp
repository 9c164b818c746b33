// Who may be writing into a file already. A stamp betrays writes that begin after it was taken; a
// write that had begun before, and is slow, or a page that is mapped and dirty, changes the content
// later and leaves the stamp as it is. Only where there is nobody of that kind can the content be
// remembered by the stamp.
#pragma once

#include <cstdint>

namespace satchel::tool_cache {

enum class Writers : std::uint8_t {
  kNone,     // at one moment within the call, nobody had the file open or mapped for writing
  kSome,     // somebody has, or finding out means waiting for the disk: ask again later
  kUnknown,  // the system does not tell us
};

// Of a regular file that is open for reading only. `may_wait`: for the disk.
Writers writers_of(int fd, bool may_wait);

// Whether the file is seen through an overlay. Its answer above leaves one gap: a page fault of a
// mapping whose descriptor was closed, and that has been waiting since before the call.
bool on_overlay(int fd);

}  // namespace satchel::tool_cache
