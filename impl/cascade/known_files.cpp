#include "cascade/known_files.hpp"

namespace satchel::cascade {

using core::LogLevel;

namespace {

constexpr const char* kComponent = "cascade.files";

}  // namespace

template <class T, class Understand>
std::optional<T> KnownFiles::read(UsageFile file, Remembered<T>& remembered,
                                  Understand understand) {
  if (files_ == nullptr) return std::nullopt;
  std::optional<core::FileStamp> known;
  {
    const std::lock_guard lock(remembered.mutex);
    known = remembered.stamp;
  }
  core::Result<FileContent> content = files_->read(file, known ? &*known : nullptr);
  if (!content) {
    read_failed(file, content.error());
    return std::nullopt;
  }
  const std::lock_guard lock(remembered.mutex);
  if (content->state == FileContent::State::kUnchanged) {
    if (remembered.stamp == known) return remembered.content;
    // Another thread has read something newer meanwhile.
    return remembered.stamp ? remembered.content : std::nullopt;
  }
  if (content->state == FileContent::State::kAbsent) return std::nullopt;
  std::optional<T> understood = understand(*content);
  remembered.stamp = content->stamp;
  if (content->stamp) {
    remembered.content = understood;
  } else {
    remembered.content.reset();
  }
  return understood;
}

std::optional<CacheEntry> KnownFiles::cache() {
  return read(UsageFile::kCache, cache_, [&](const FileContent& content) {
    std::optional<CacheEntry> entry = read_cache_file(content.bytes);
    if (!entry) log_.write(LogLevel::kDebug, kComponent, "usage.json holds nothing of use");
    return entry;
  });
}

std::optional<Lock> KnownFiles::lock(core::Timestamp now) {
  std::optional<Lock> lock = read(UsageFile::kLock, lock_, [](const FileContent& content) {
    return std::optional<Lock>(read_lock_file(content.bytes, content.written_at));
  });
  if (!lock) return lock;
  return capped(std::move(*lock), now);
}

std::shared_ptr<const Observation> KnownFiles::observation() {
  const auto understand = [](const FileContent& content) {
    std::shared_ptr<const Observation> observation;
    if (std::optional<Observation> read = read_observation_file(content.bytes)) {
      observation = std::make_shared<const Observation>(std::move(*read));
    }
    return std::optional(std::move(observation));
  };
  return read(UsageFile::kObserved, observation_, understand).value_or(nullptr);
}

void KnownFiles::write_cache(const EndpointUsage& usage, core::Timestamp cached_at) {
  write(UsageFile::kCache, write_cache_file(usage, cached_at));
}

void KnownFiles::write_lock(const Lock& lock) { write(UsageFile::kLock, write_lock_file(lock)); }

void KnownFiles::write_observation(const Observation& observation) {
  write(UsageFile::kObserved, write_observation_file(observation));
}

void KnownFiles::clear_cache() {
  if (files_ == nullptr) return;
  if (core::Result<void> removed = files_->remove(UsageFile::kCache); !removed) {
    write_failed(UsageFile::kCache, removed.error());
  }
}

void KnownFiles::write(UsageFile file, const std::string& bytes) {
  if (files_ == nullptr) return;
  if (core::Result<void> written = files_->write(file, bytes); !written) {
    write_failed(file, written.error());
  } else if (trouble(file).unwritable.clear()) {
    log_.write(LogLevel::kInfo, kComponent,
               std::string(usage_file_name(file)) + " can be written again");
  }
}

void KnownFiles::read_failed(UsageFile file, const core::Error& error) {
  std::uint64_t suppressed = 0;
  if (!trouble(file).unreadable.due(clock_.monotonic_ns(), &suppressed)) return;
  log_.write(LogLevel::kWarn, kComponent,
             std::string(usage_file_name(file)) + " counts as missing: " + error.message);
}

void KnownFiles::write_failed(UsageFile file, const core::Error& error) {
  std::uint64_t suppressed = 0;
  if (!trouble(file).unwritable.due(clock_.monotonic_ns(), &suppressed)) return;
  log_.write(LogLevel::kError, kComponent,
             std::string(usage_file_name(file)) + ": " + error.message +
                 "; other processes do not see what this one knows");
}

}  // namespace satchel::cascade
