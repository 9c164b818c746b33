#include "tool_cache/tool_cache.hpp"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/file.hpp"
#include "core/library_thread.hpp"
#include "tool_cache/make_remote.hpp"
#include "tool_cache/tool_cache_impl.hpp"

namespace satchel::tool_cache {

using core::Error;
using core::Result;
using core::Status;

namespace {

// Made absolute once: the host may change its working directory.
Result<std::string> absolute(const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    return Error{Status::kArgument, "a path contains a NUL byte", 0, 0};
  }
  if (!path.empty() && path.front() == '/') return path;
  std::error_code failed;
  const std::filesystem::path here = std::filesystem::current_path(failed);
  if (failed) return core::io_error("cannot find the working directory", failed.value());
  return path.empty() ? here.native() : here.native() + '/' + path;
}

}  // namespace

ToolCache::Impl::Impl(Place place, Config config, core::Clock& clock, core::Log& log)
    : config_(std::move(config)),
      clock_(clock),
      log_(log),
      workspace_(std::move(place.workspace)),
      store_path_(std::move(place.store)),
      store_(std::move(place.host_store)),
      calls_(config_.stats_path, clock, log) {}

Result<std::shared_ptr<ToolCache::Impl>> ToolCache::Impl::open(Place place, Config config,
                                                               core::Clock& clock, core::Log& log) {
  if (place.store.empty() == (place.host_store == nullptr)) {
    return Error{Status::kArgument,
                 place.store.empty() ? "place has neither a store directory nor a host_store"
                                     : "place has both a store directory and a host_store",
                 0, 0};
  }
  Result<std::string> workspace = absolute(place.workspace);
  if (!workspace) return workspace.take_error();
  place.workspace = std::move(*workspace);
  if (!place.store.empty()) {
    Result<std::string> store = absolute(place.store);
    if (!store) return store.take_error();
    place.store = std::move(*store);
  }
  const std::shared_ptr<Impl> impl(new Impl(std::move(place), std::move(config), clock, log));
  if (Result<void> started = impl->start(); !started) return started.take_error();
  return impl;
}

Result<void> ToolCache::Impl::start() {
  if (store_ == nullptr) {
    FileStore::Options options;
    options.root = store_path_;
    options.memory_bytes = static_cast<std::uint64_t>(config_.memory_bytes);
    options.compress_min_bytes = static_cast<std::uint64_t>(config_.compress_min_bytes);
    Result<std::unique_ptr<FileStore>> files = FileStore::open(std::move(options), log_);
    if (!files) return files.take_error();
    files_ = files->get();
    store_ = std::move(*files);
  }
  const StoreIndex::Options options{workspace_, config_.index_kind == "memory"};
  const auto lost = [this](const Key& key, std::int64_t sequence, Meta old) {
    known_.lost_from_index(key, sequence, std::move(old));
  };
  index_ = files_ != nullptr ? StoreIndex::over_files(*files_, options, lost, clock_, log_)
                             : StoreIndex::over_store(*store_, options, lost, clock_, log_);
  known_.start(*index_, index_->open());
  Fingerprints::Options hashing;
  hashing.strict = config_.strict;
  hashing.threads = config_.hash_threads;
  fingerprints_ = std::make_unique<Fingerprints>(hashing, index_.get(), clock_, log_);
  leases_ = std::make_unique<Leases>(files_ != nullptr ? store_path_ : std::string(), clock_, log_);
  if (Result<void> remote = start_remote(); !remote) return remote;
  next_sweep_ns_ = clock_.monotonic_ns() + config_.orphan_age_s * core::kNanosPerSecond;
  try {
    const core::SignalsBlocked blocked;
    thread_ = std::thread([this] { maintain(); });
  } catch (const std::system_error& refused) {
    return core::io_error("cannot start a thread", refused.code().value());
  }
  return {};
}

Result<void> ToolCache::Impl::start_remote() {
  if (config_.remote.kind.empty()) return {};
  Result<std::unique_ptr<RemoteStore>> store = make_remote_store(config_.remote, log_);
  if (!store) return store.take_error();
  Remote::Local local;
  local.load = [this](const Key& key) { return store_->lookup(key); };
  local.drop = [this](std::span<const Key> keys) { drop_too(keys); };
  remote_ = std::make_unique<Remote>(std::move(*store), config_.remote.max_payload_bytes,
                                     std::move(local), counters_, clock_, log_);
  return remote_->start();
}

ToolCache::ToolCache(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

ToolCache::~ToolCache() { shut_down(); }

Result<std::unique_ptr<ToolCache>> ToolCache::open(Place place, Config config, core::Clock& clock,
                                                   core::Log& log) {
  Result<std::shared_ptr<Impl>> impl = Impl::open(std::move(place), std::move(config), clock, log);
  if (!impl) return impl.take_error();
  return std::unique_ptr<ToolCache>(new ToolCache(std::move(*impl)));
}

void ToolCache::break_off() { impl_->break_off(); }
void ToolCache::shut_down() { impl_->shut_down(); }

Result<Found> ToolCache::lookup(const Key& key) { return impl_->lookup(key); }
Result<Found> ToolCache::lookup_revalidate(const Key& key) { return impl_->lookup_revalidate(key); }
Result<Found> ToolCache::verify(const Key& key) { return impl_->verify(key); }

Result<void> ToolCache::persist(const Key& key, std::string_view payload, Meta meta) {
  return impl_->persist(key, payload, std::move(meta));
}

Result<std::unique_ptr<PayloadWriter>> ToolCache::begin_persist(const Key& key) {
  return impl_->begin_persist(key);
}

Result<void> ToolCache::commit_written(const Key& key, PayloadWriter& writer, Meta meta) {
  return impl_->commit_written(key, writer, std::move(meta));
}

Result<Begun> ToolCache::get_or_begin(const Key& key, Call call) {
  return impl_->get_or_begin(key, std::move(call));
}

bool ToolCache::contains(const Key& key) { return impl_->contains(key); }
Result<void> ToolCache::mark_dirty(const Key& key) { return impl_->mark_dirty(key); }

Result<std::uint64_t> ToolCache::invalidate_upstream(const Key& key) {
  return impl_->invalidate_upstream(key);
}

Result<std::uint64_t> ToolCache::invalidate_path(std::string_view path) {
  return impl_->invalidate_path(path);
}

Result<std::string> ToolCache::fingerprint(std::string_view path, FingerprintForm form) {
  return impl_->fingerprint(path, form);
}

Result<std::uint64_t> ToolCache::entry_count() { return impl_->entry_count(); }
Result<std::vector<std::string>> ToolCache::known_kinds() { return impl_->known_kinds(); }
Result<std::uint64_t> ToolCache::total_bytes() { return impl_->total_bytes(); }

Result<std::uint64_t> ToolCache::evict_to_cap(std::uint64_t cap) {
  return impl_->evict_to_cap(cap);
}

Result<std::uint64_t> ToolCache::evict() { return impl_->evict(); }
Result<std::uint64_t> ToolCache::sweep(std::int64_t min_age_ns) { return impl_->sweep(min_age_ns); }
Result<void> ToolCache::rebuild() { return impl_->rebuild(); }
bool ToolCache::flush(std::int64_t timeout_ns) { return impl_->flush(timeout_ns); }

Result<std::string> ToolCache::stats_json() { return impl_->stats_json(); }
std::string ToolCache::metrics() { return impl_->metrics(); }

Result<std::string> ToolCache::list_json(std::optional<Key> after, std::string_view kind,
                                         std::size_t limit) {
  return impl_->list_json(after, kind, limit);
}

Result<std::string> ToolCache::why_json(const Key& key) { return impl_->why_json(key); }

void ToolCache::record(std::string_view tool, std::string_view outcome, std::uint64_t duration_us,
                       std::string_view args_summary, std::string_view reason) {
  impl_->record({tool, outcome, duration_us, args_summary, reason});
}

}  // namespace satchel::tool_cache
