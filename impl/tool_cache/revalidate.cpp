// Lookups. The order is the reference's: what this process knows of the roots is checked first,
// then the store is read. Beyond it, the roots that stand on disk now are checked too where they
// are others than those known: another process may have stored the entry anew in between, and its
// result must not be served on the strength of the old roots.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/file.hpp"
#include "core/text.hpp"
#include "tool_cache/tool_cache_impl.hpp"

namespace satchel::tool_cache {

using core::Error;
using core::Result;
using core::Status;

std::string ToolCache::Impl::resolve(std::string_view path) const {
  if (!path.empty() && path.front() == '/') return std::string(path);
  std::string joined = workspace_;
  if (joined.empty() || joined.back() != '/') joined += '/';
  joined += path;
  return joined;
}

std::optional<std::string> ToolCache::Impl::stale_root(std::span<const Root> roots) {
  if (roots.empty()) return std::nullopt;
  std::vector<ResolvedRoot> resolved;
  resolved.reserve(roots.size());
  for (const Root& root : roots) {
    // No file has such a name; the system would look at the part before the NUL.
    if (root.path.find('\0') != std::string::npos) return "a root has a NUL byte in its path";
    resolved.push_back({resolve(root.path), root.expected_hash});
  }
  const std::optional<std::size_t> at = fingerprints_->first_stale(resolved);
  wake_soon();
  if (!at) return std::nullopt;
  return "the root " + core::quoted(roots[*at].path) + " has changed";
}

Result<Found> ToolCache::Impl::count(const Key& key, Result<Found> answer) {
  const Status status = answer ? answer->answer : answer.error().status;
  switch (status) {
    case Status::kOk:
      ++counters_.hits;
      counters_.bytes_served += answer->stored.meta->bytes;
      used(key);
      break;
    case Status::kMiss:
      ++counters_.misses;
      break;
    case Status::kInvalidated:
      ++counters_.invalidated;
      break;
    case Status::kIntegrity:
      ++counters_.integrity_errors;
      break;
    case Status::kMeta:
      ++counters_.meta_errors;
      break;
    default:
      ++counters_.io_errors;
  }
  return answer;
}

void ToolCache::Impl::used(const Key& key) {
  constexpr std::size_t kMany = 16384;
  const std::int64_t now = clock_.unix_ns();
  bool many = false;
  {
    const std::lock_guard lock(uses_mutex_);
    uses_[key] = now;
    many = uses_.size() == kMany;
  }
  if (!many) return;
  const std::lock_guard lock(mutex_);
  soon_ = true;
  wake_.notify_all();
}

Result<Found> ToolCache::Impl::found(Result<Stored> stored) {
  if (!stored) return stored.take_error();
  if (stored->meta == nullptr) return Found{};
  return Found{Status::kOk, std::move(*stored), {}};
}

Result<Found> ToolCache::Impl::stale(const Key& key, std::string why) {
  known_.forget(key);
  return Found{Status::kInvalidated, {}, std::move(why)};
}

Result<Found> ToolCache::Impl::lookup(const Key& key) {
  Result<Found> answer = found(store_->lookup(key));
  if (answer && answer->answer == Status::kMiss) known_.forget(key);
  if (answer && answer->answer == Status::kOk && known_.find(key) == nullptr) {
    known_.learn(key, answer->stored.meta);
  }
  return count(key, or_from_remote(key, std::move(answer)));
}

Result<Found> ToolCache::Impl::lookup_revalidate(const Key& key) {
  return count(key, or_from_remote(key, revalidate(key)));
}

Result<Found> ToolCache::Impl::revalidate(const Key& key) {
  const std::shared_ptr<const Meta> known = known_.find(key);
  if (known != nullptr) {
    if (std::optional<std::string> why = stale_root(known->file_roots)) {
      return stale(key, std::move(*why));
    }
  }
  Result<Found> answer = found(store_->lookup(key));
  if (!answer) return answer;
  if (answer->answer == Status::kMiss) {
    if (known != nullptr) known_.forget(key);
    return answer;
  }
  const std::shared_ptr<const Meta>& meta = answer->stored.meta;
  if (meta == known) return answer;
  if (known == nullptr || known->file_roots != meta->file_roots) {
    if (std::optional<std::string> why = stale_root(meta->file_roots)) {
      return stale(key, std::move(*why));
    }
  }
  known_.learn(key, meta);
  return answer;
}

Result<void> ToolCache::Impl::persist(const Key& key, std::string_view payload, Meta meta) {
  auto known = std::make_shared<const Meta>(meta);
  Result<void> stored = store_->persist(key, payload, std::move(meta));
  if (!stored) {
    ++counters_.persist_errors;
    return stored;
  }
  known_.learn(key, std::move(known));
  ++counters_.persisted;
  if (remote_ != nullptr) remote_->stored(key);
  return stored;
}

Result<void> ToolCache::Impl::commit_written(const Key& key, PayloadWriter& writer, Meta meta) {
  Result<std::shared_ptr<const Meta>> stored = writer.commit(std::move(meta));
  if (!stored) {
    ++counters_.persist_errors;
    return stored.take_error();
  }
  known_.learn(key, std::move(*stored));
  ++counters_.persisted;
  if (remote_ != nullptr) remote_->stored(key);
  return {};
}

Result<std::string> ToolCache::Impl::fingerprint(std::string_view path, FingerprintForm form) {
  if (path.find('\0') != std::string_view::npos) {
    return Error{Status::kArgument, "the path has a NUL byte", 0, 0};
  }
  const std::string resolved = resolve(path);
  if (form == FingerprintForm::kDirectory)
    return fingerprints_->current(resolved, Form::kDirectory);
  if (form == FingerprintForm::kStat) return fingerprints_->current(resolved, Form::kStat);
  const std::optional<core::FileStamp> stamp = core::stamp_of(resolved);
  if (!stamp) return core::io_error("cannot stat " + core::quoted(resolved), errno);
  if (stamp->size > static_cast<std::uint64_t>(config_.hash_max_bytes)) {
    if (form == FingerprintForm::kContentOrStat) {
      return fingerprints_->current(resolved, Form::kStat);
    }
    return Error{Status::kOversized,
                 core::quoted(resolved) + " has " + std::to_string(stamp->size) +
                     " bytes, more than hash_max_bytes (" + std::to_string(config_.hash_max_bytes) +
                     ")",
                 0, 0};
  }
  Result<std::string> current = fingerprints_->current(resolved, Form::kContent);
  wake_soon();
  return current;
}

}  // namespace satchel::tool_cache
