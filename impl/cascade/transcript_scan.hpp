// Reads transcripts from where they were read before, on several threads.
//
// A file is cut into parts at fixed offsets; a part reads the lines that begin in it, so that parts
// need to know nothing of each other. Each thread has one buffer and one line reader, and writes
// what it finds as records, a string for each shard. pread into buffers, not mapped files: a file
// that is cut short while it is read must not cost the host a SIGBUS.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cascade/transcript_files.hpp"
#include "cascade/transcript_record.hpp"
#include "cascade/transcript_settings.hpp"

namespace satchel::cascade {

// Names of models as small numbers, the same for all threads.
class ModelNames {
 public:
  // `known[i]` is the name of number i + 1.
  explicit ModelNames(std::vector<std::string> known);
  std::uint32_t number_of(std::string_view name);
  // In the order of their numbers.
  [[nodiscard]] const std::deque<std::string>& names() const { return names_; }

 private:
  std::mutex mutex_;
  std::deque<std::string> names_;
  std::unordered_map<std::string_view, std::uint32_t> numbers_;
};

// Hashes of what stands before an offset: what was read before is still there. `body` is of all of
// it up to 1 MiB, and of samples spread over what is longer: a program that rewrites single lines
// in the middle of a large file, in place, may go unnoticed, and whoever appends to one does not
// have it all read again. `tail` is of its last 4 KiB.
struct CheckBytes {
  std::uint64_t body = 0;
  std::uint64_t tail = 0;
  friend bool operator==(const CheckBytes&, const CheckBytes&) = default;
};

// One file to read, from `begin` to its end as it was when it was listed.
struct FileReading {
  const ListedTranscript* listed = nullptr;
  std::uint32_t id = 0;
  std::uint64_t begin = 0;

  // What came of it.
  std::uint64_t offset = 0;  // behind the last whole line
  CheckBytes check;
  std::map<std::int64_t, BucketSpan> activity;
  std::uint64_t records = 0;
  int os_errno = 0;       // it could not be read
  bool too_long = false;  // it has a line that is longer than lines may be

  std::mutex mutex;
  std::size_t parts_left = 0;
};

using ShardBytes = std::vector<std::string>;  // kShards of them

// What to scan, and how much of it was done. Memory for records is bounded: when `enough` bytes of
// them are there, threads stop taking parts, and another round follows.
class TranscriptScan {
 public:
  TranscriptScan(const TranscriptSettings& settings, ModelNames& models,
                 std::deque<FileReading>& readings);

  [[nodiscard]] bool done() const { return next_part_ >= parts_.size(); }
  // The next round, its records appended to `out`.
  void run(std::size_t enough, ShardBytes& out);

 private:
  struct Part {
    FileReading* reading;
    std::uint64_t begin;
    std::uint64_t end;
  };
  friend class TranscriptWorker;

  const TranscriptSettings& settings_;
  ModelNames& models_;
  std::vector<Part> parts_;
  std::atomic<std::size_t> next_part_{0};
  std::atomic<std::size_t> bytes_{0};
};

// The hashes, or an errno in `os_errno`.
CheckBytes check_bytes(int fd, std::uint64_t offset, int& os_errno);
// Opens what is a regular file only, without waiting for anything. -1 and errno.
int open_transcript(const std::string& path);

// Calls `work` on up to `threads` threads, this one among them, and waits for all. An exception in
// one is thrown here.
void run_on_threads(unsigned threads, const std::function<void()>& work);
unsigned threads_of(const TranscriptSettings& settings);

}  // namespace satchel::cascade
