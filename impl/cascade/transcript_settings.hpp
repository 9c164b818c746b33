// What the built-in source of transcripts is told by its owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace satchel::cascade {

struct TranscriptSettings {
  enum class Dedup : std::uint8_t {
    kComplete,  // per message.id and requestId the entry with the most output tokens
    kFirst,     // per message.id the first in reading order, as the reference
  };

  std::vector<std::string> config_dirs;  // "projects/" is looked for in each, in this order
  std::string state_dir;                 // where what was read is remembered; empty: in memory
  Dedup dedup = Dedup::kComplete;
  // Which *.jsonl count. 0: all below projects/. Else those in up to so many levels of directories
  // below it: 1 is <workspace>/<session>.jsonl and nothing else, as the reference has it.
  std::uint32_t depth = 0;
  bool any_owner = false;  // false: files of another user are skipped, with a log line
  unsigned threads = 0;    // 0: as many as the machine has, at most 4
  std::size_t max_line_bytes = std::size_t{64} << 20;  // longer lines do not count
};

}  // namespace satchel::cascade
