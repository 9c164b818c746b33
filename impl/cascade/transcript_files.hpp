// Which transcripts there are, and what tells whether one has changed: a stat for each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "cascade/transcript_settings.hpp"
#include "core/log.hpp"

namespace satchel::cascade {

// Facts about files that a user may want to know, each said once in an object's life: the next
// look at the same files is seconds away.
class TranscriptComplaints {
 public:
  explicit TranscriptComplaints(core::Log& log) : log_(log) {}
  // One thread at a time.
  void say(const std::string& message);

 private:
  static constexpr std::size_t kMost = 1'000;
  core::Log& log_;
  std::unordered_set<std::string> said_;
};

// Of a file's stamp what is kept of it.
struct TranscriptStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;

  [[nodiscard]] bool same_file(const TranscriptStamp& other) const {
    return device == other.device && inode == other.inode;
  }
  friend bool operator==(const TranscriptStamp&, const TranscriptStamp&) = default;
};

struct ListedTranscript {
  // Two bytes that say under which of the directories, then the path below projects/. Names in the
  // order of their bytes are the order of reading.
  std::string name;
  TranscriptStamp stamp;
  // No write can follow that leaves the stamp as it is: the file's last change is older than the
  // clock of its filesystem is coarse.
  bool settled = false;
};

struct TranscriptListing {
  bool any_root = false;                // a projects directory exists
  bool unreadable_root = false;         // one that cannot be listed
  std::vector<ListedTranscript> files;  // in the order of reading
};

TranscriptListing list_transcripts(const TranscriptSettings& settings,
                                   TranscriptComplaints& complaints);

std::string transcript_path(const TranscriptSettings& settings, std::string_view name);

}  // namespace satchel::cascade
