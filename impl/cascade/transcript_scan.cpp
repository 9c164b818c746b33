#include "cascade/transcript_scan.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cascade/transcript_line.hpp"
#include "core/file.hpp"

namespace satchel::cascade {
namespace {

constexpr std::uint64_t kPartBytes = std::uint64_t{4} << 20;
// Fits the second-level cache beside what is made of it.
constexpr std::size_t kBufferBytes = std::size_t{256} << 10;
// As much is hashed in full, of what is longer samples.
constexpr std::uint64_t kCheckWhole = std::uint64_t{1} << 20;
constexpr std::uint64_t kCheckBytes = 4096;
constexpr std::uint64_t kCheckSamples = 64;

// Nobody has thousands; whoever writes them into transcripts shall not fill our memory.
constexpr std::size_t kMostModels = 2'000;
constexpr std::size_t kLongestModel = 200;
constexpr std::string_view kOtherModels = "(other)";

}  // namespace

ModelNames::ModelNames(std::vector<std::string> known) {
  for (std::string& name : known) {
    names_.push_back(std::move(name));
    numbers_.emplace(names_.back(), static_cast<std::uint32_t>(names_.size()));
  }
}

std::uint32_t ModelNames::number_of(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto known = numbers_.find(name); known != numbers_.end()) return known->second;
  if (name != kOtherModels && (names_.size() >= kMostModels || name.size() > kLongestModel)) {
    name = kOtherModels;
    if (const auto known = numbers_.find(name); known != numbers_.end()) return known->second;
  }
  names_.emplace_back(name);
  const auto number = static_cast<std::uint32_t>(names_.size());
  numbers_.emplace(names_.back(), number);
  return number;
}

int open_transcript(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  struct stat status {};
  if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) return fd;
  ::close(fd);
  errno = EINVAL;
  return -1;
}

CheckBytes check_bytes(int fd, std::uint64_t offset, int& os_errno) {
  std::array<char, 4 * kCheckBytes> bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const auto hashed = [&](std::uint64_t from, std::uint64_t size, std::uint64_t before) {
    const std::ptrdiff_t got = core::read_at(fd, from, bytes.data(), size);
    if (got < 0) os_errno = errno;
    return got < 0 ? 0 : hash_bytes({bytes.data(), static_cast<std::size_t>(got)}, before);
  };
  CheckBytes check;
  if (offset <= kCheckWhole) {
    for (std::uint64_t at = 0; at < offset; at += bytes.size()) {
      check.body = hashed(at, std::min<std::uint64_t>(bytes.size(), offset - at), check.body);
    }
  } else {
    for (std::uint64_t i = 0; i < kCheckSamples; ++i) {
      const std::uint64_t at = (offset - kCheckBytes) / (kCheckSamples - 1) * i;
      check.body = hashed(at, kCheckBytes, check.body);
    }
  }
  const std::uint64_t last = std::min(offset, kCheckBytes);
  check.tail = hashed(offset - last, last, 0);
  return check;
}

// One thread of a scan.
class TranscriptWorker {
 public:
  explicit TranscriptWorker(TranscriptScan& scan) : scan_(scan), shards_(kShards) {}

  void work(std::size_t enough) {
    while (scan_.bytes_.load(std::memory_order_relaxed) < enough) {
      const std::size_t i = scan_.next_part_.fetch_add(1);
      if (i >= scan_.parts_.size()) break;
      part(scan_.parts_[i]);
    }
  }

  ShardBytes& shards() { return shards_; }

 private:
  void part(const TranscriptScan::Part& part) {
    reading_ = part.reading;
    activity_.clear();
    records_ = 0;
    too_long_ = false;
    behind_ = 0;
    bytes_ = 0;
    int os_errno = 0;
    const core::UniqueFd file(
        open_transcript(transcript_path(scan_.settings_, reading_->listed->name)));
    if (!file.valid()) {
      os_errno = errno;
    } else {
      lines(file.get(), part, os_errno);
    }
    finish(file.get(), os_errno);
  }

  // The lines that begin in the part.
  void lines(int fd, const TranscriptScan::Part& part, int& os_errno) {
    const std::uint64_t limit = reading_->listed->stamp.size;
    // A part that is not the first begins with the end of a line, or right behind one.
    bool skipping = part.begin > reading_->begin;
    std::uint64_t at = skipping ? part.begin - 1 : part.begin;  // of the buffer's first byte
    std::size_t held = 0;
    for (;;) {
      // Behind the part only the end of its last line is wanted.
      const std::uint64_t next = at + held;
      const std::uint64_t wanted = next < part.end ? part.end - next : kBufferBytes / 4;
      buffer_.resize(std::max(buffer_.size(), kBufferBytes + kTranscriptPadding));
      if (held + kTranscriptPadding >= buffer_.size()) {
        if (held > scan_.settings_.max_line_bytes) {  // what is held is one line without an end
          too_long_ = true;
          skipping = true;
          at += held;
          held = 0;
        } else {
          buffer_.resize(buffer_.size() * 2);
        }
      }
      const std::size_t room = buffer_.size() - kTranscriptPadding - held;
      const std::size_t size =
          std::min<std::uint64_t>({room, wanted, limit - std::min(limit, at + held)});
      const std::ptrdiff_t got = core::read_at(fd, at + held, buffer_.data() + held, size);
      if (got < 0) os_errno = errno;
      if (got <= 0) return;
      const char* const begin = buffer_.data();
      const char* const end = begin + held + got;
      const char* from = begin;
      if (skipping) {
        const auto* feed = static_cast<const char*>(
            std::memchr(begin + held, '\n', static_cast<std::size_t>(got)));
        if (feed == nullptr) {
          at += held + static_cast<std::size_t>(got);
          held = 0;
          if (at >= part.end) return;
          continue;
        }
        skipping = false;
        from = feed + 1;
        behind_ = std::max(behind_, at + static_cast<std::uint64_t>(from - begin));
      }
      from = whole_lines(from, end, at, begin, part.end);
      if (at + static_cast<std::uint64_t>(from - begin) >= part.end) return;
      held = static_cast<std::size_t>(end - from);
      at += static_cast<std::uint64_t>(from - begin);
      std::memmove(buffer_.data(), from, held);
    }
  }

  // Reads the lines of [from, end) that begin before `part_end`; `at` is the offset of `begin`.
  // Where the first begins that was not read.
  const char* whole_lines(const char* from, const char* end, std::uint64_t at, const char* begin,
                          std::uint64_t part_end) {
    const auto* last =
        static_cast<const char*>(::memrchr(from, '\n', static_cast<std::size_t>(end - from)));
    if (last == nullptr) return from;
    const char* const behind_last = last + 1;
    while (from < behind_last) {
      const std::uint64_t position = at + static_cast<std::uint64_t>(from - begin);
      if (position >= part_end) break;
      const char* const line_begin = from;
      const TranscriptLine* const line = reader_.read(from, behind_last);
      if (static_cast<std::size_t>(from - line_begin) - 1 > scan_.settings_.max_line_bytes) {
        too_long_ = true;
      } else if (line != nullptr) {
        take(*line, position);
      }
    }
    behind_ = std::max(behind_, at + static_cast<std::uint64_t>(from - begin));
    return from;
  }

  void take(const TranscriptLine& line, std::uint64_t position) {
    if (!line.id && !line.usage) {
      const std::int64_t bucket = bucket_of(line.time);
      const std::uint64_t ns = ns_in_bucket(line.time);
      if (const auto [at, added] = activity_.try_emplace(bucket, BucketSpan{ns, ns}); !added) {
        at->second.widen({ns, ns});
      }
      return;
    }
    TranscriptRecord record;
    if (!line.id) {
      record.key = key_of_line(reading_->id, position);
    } else if (scan_.settings_.dedup == TranscriptSettings::Dedup::kFirst) {
      record.key = key_of_message(*line.id);
    } else {
      record.key = key_of_message(*line.id, line.request_id);
    }
    record.position = position;
    record.file = reading_->id;
    record.time = line.time;
    record.has_usage = line.usage.has_value();
    if (line.usage) {
      record.tokens = *line.usage;
      record.model = line.model ? number_of(*line.model) : kNoModel;
    }
    std::string& shard = shards_[shard_of(record.key)];
    const std::size_t before = shard.size();
    append_record(shard, record);
    bytes_ += shard.size() - before;
    ++records_;
  }

  std::uint32_t number_of(std::string_view model) {
    if (model_number_ == kNoModel || model != model_) {
      model_number_ = scan_.models_.number_of(model);
      model_ = model;
    }
    return model_number_;
  }

  void finish(int fd, int os_errno) {
    scan_.bytes_.fetch_add(bytes_, std::memory_order_relaxed);
    const std::lock_guard lock(reading_->mutex);
    for (const auto& [bucket, span] : activity_) {
      const auto [at, added] = reading_->activity.try_emplace(bucket, span);
      if (!added) at->second.widen(span);
    }
    reading_->records += records_;
    reading_->too_long |= too_long_;
    reading_->offset = std::max(reading_->offset, behind_);
    if (os_errno != 0) reading_->os_errno = os_errno;
    if (--reading_->parts_left > 0 || reading_->os_errno != 0) return;
    reading_->check = check_bytes(fd, reading_->offset, reading_->os_errno);
  }

  TranscriptScan& scan_;
  ShardBytes shards_;
  TranscriptLineReader reader_;
  std::vector<char> buffer_;
  std::string model_;
  std::uint32_t model_number_ = kNoModel;

  // Of the part at hand.
  FileReading* reading_ = nullptr;
  std::map<std::int64_t, BucketSpan> activity_;
  std::uint64_t records_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t behind_ = 0;  // the last whole line
  bool too_long_ = false;
};

TranscriptScan::TranscriptScan(const TranscriptSettings& settings, ModelNames& models,
                               std::deque<FileReading>& readings)
    : settings_(settings), models_(models) {
  for (FileReading& reading : readings) {
    const std::uint64_t size = reading.listed->stamp.size;
    reading.offset = reading.begin;
    std::uint64_t begin = reading.begin;
    do {
      const std::uint64_t end = size - begin > kPartBytes * 3 / 2 ? begin + kPartBytes : size;
      parts_.push_back({&reading, begin, end});
      ++reading.parts_left;
      begin = end;
    } while (begin < size);
  }
  // The large ones first, so that no thread is left with one when the others are done.
  std::stable_sort(parts_.begin(), parts_.end(),
                   [](const Part& a, const Part& b) { return a.end - a.begin > b.end - b.begin; });
}

void TranscriptScan::run(std::size_t enough, ShardBytes& out) {
  bytes_ = 0;
  const std::size_t left = parts_.size() - std::min<std::size_t>(next_part_, parts_.size());
  const unsigned threads =
      static_cast<unsigned>(std::min<std::size_t>(threads_of(settings_), left));
  std::mutex mutex;
  run_on_threads(threads, [&] {
    TranscriptWorker worker(*this);
    worker.work(enough);
    const std::lock_guard lock(mutex);
    for (unsigned i = 0; i < kShards; ++i) {
      if (out[i].empty()) {
        out[i].swap(worker.shards()[i]);
      } else {
        out[i] += worker.shards()[i];
      }
    }
  });
}

}  // namespace satchel::cascade
