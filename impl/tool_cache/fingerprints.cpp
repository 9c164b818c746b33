#include "tool_cache/fingerprints.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <exception>
#include <limits>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "core/file.hpp"
#include "core/library_thread.hpp"
#include "tool_cache/fingerprint_memory.hpp"
#include "tool_cache/fingerprint_proof.hpp"

namespace satchel::tool_cache {

using core::Result;

namespace {

constexpr std::size_t kMaxPending = 4096;
// A file that is being written all the time is not waited for; whoever asks for it puts it back.
// Longer than the longest that settled() wants.
constexpr std::int64_t kPendingPatience = 3 * core::kNanosPerSecond;
// After as much, settle_pending() returns, so that its thread can be stopped.
constexpr std::uint64_t kBytesAtATime = 256 << 20;
// Starting a thread takes as long as hashing some hundred kilobytes.
constexpr std::uint64_t kWorthThreads = 1 << 20;

// What the shelf gave may be somebody else's writing: a file that was damaged, a newer version.
bool plausible(const RememberedFingerprint& found, Form form) {
  std::string_view digits = found.fingerprint;
  if (form == Form::kDirectory) {
    if (!digits.starts_with("dir:")) return false;
    digits.remove_prefix(4);
  }
  return digits.size() == 64 &&
         digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// A root that must be hashed before anything can be said of it.
struct Unhashed {
  std::size_t index = 0;
  std::uint64_t size = 0;
};

}  // namespace

struct Fingerprints::State {
  State(Options given, FingerprintShelf* kept, core::Clock& time, core::Log& lines)
      : options(given), shelf(kept), clock(time), log(lines), memory(given.max_remembered) {}

  struct Recalled {
    core::FileStamp stamp;
    std::string fingerprint;  // empty: must be hashed
  };
  Result<Recalled> recall(const std::string& path, Form form);
  std::string recall_from_shelf(const std::string& path, Form form, const core::FileStamp& stamp,
                                const core::ClockEpoch& epoch);
  Result<std::string> hash(const std::string& path, Form form);
  Result<std::string> current(const std::string& path, Form form);
  bool is_stale(const ResolvedRoot& root) noexcept;
  std::optional<std::size_t> first_stale_of(std::span<const ResolvedRoot> roots,
                                            std::span<const Unhashed> unhashed);
  void count(const Hashed& hashed);
  void remember(const std::string& path, Form form, const Hashed& hashed,
                std::vector<RememberedFingerprint>& for_shelf) const;
  void remember_or_wait(const std::string& path, Form form, const Hashed& hashed);

  const Options options;
  FingerprintShelf* const shelf;
  core::Clock& clock;
  core::Log& log;
  mutable FingerprintMemory memory;

  std::atomic<std::uint64_t> remembered{0};
  std::atomic<std::uint64_t> hashes{0};
  std::atomic<std::uint64_t> bytes_hashed{0};

  using Pending = std::map<std::pair<std::string, Form>, std::int64_t>;  // since when
  std::mutex mutex;                                                      // of what follows
  Pending pending;
  std::vector<RememberedFingerprint> unshelved;
};

// A stat, and a look at what is known. The epoch is read after the stat: a clock that was set back
// in time for a change to be stamped wrongly has then been set before the epoch is read.
Result<Fingerprints::State::Recalled> Fingerprints::State::recall(const std::string& path,
                                                                  Form form) {
  const std::optional<core::FileStamp> stamp = core::stamp_of(path);
  if (!stamp) return core::io_error("stat " + path, errno);
  if (options.strict) return Recalled{*stamp, {}};
  const core::ClockEpoch epoch = core::clock_epoch();
  std::optional<std::string> known = memory.find(path, form, *stamp, epoch);
  if (!known) known = recall_from_shelf(path, form, *stamp, epoch);
  if (!known->empty()) remembered.fetch_add(1, std::memory_order_relaxed);
  return Recalled{*stamp, std::move(*known)};
}

std::string Fingerprints::State::recall_from_shelf(const std::string& path, Form form,
                                                   const core::FileStamp& stamp,
                                                   const core::ClockEpoch& epoch) {
  // Nothing that changed a moment ago was remembered by anybody.
  if (shelf == nullptr || !core::settled(stamp, core::file_clock_ns())) return {};
  std::optional<RememberedFingerprint> found = shelf->find(path, form);
  std::string fingerprint;
  if (found && found->stamp == stamp && found->epoch.same_as(epoch) && plausible(*found, form)) {
    fingerprint = std::move(found->fingerprint);
  }
  // That it is not there is remembered too: files that can never be remembered are asked for again
  // and again.
  memory.put(path, form, stamp, fingerprint.empty() ? epoch : found->epoch, fingerprint);
  return fingerprint;
}

void Fingerprints::State::count(const Hashed& hashed) {
  hashes.fetch_add(1, std::memory_order_relaxed);
  if (!S_ISREG(hashed.stamp.mode)) return;
  bytes_hashed.fetch_add(hashed.stamp.size, std::memory_order_relaxed);
}

void Fingerprints::State::remember(const std::string& path, Form form, const Hashed& hashed,
                                   std::vector<RememberedFingerprint>& for_shelf) const {
  memory.put(path, form, hashed.stamp, hashed.epoch, hashed.fingerprint);
  if (shelf == nullptr || for_shelf.size() >= kMaxPending) return;
  for_shelf.push_back({path, form, hashed.stamp, hashed.epoch, hashed.fingerprint});
}

void Fingerprints::State::remember_or_wait(const std::string& path, Form form,
                                           const Hashed& hashed) {
  if (hashed.proof == Proof::kNever) return;
  const std::lock_guard lock(mutex);
  if (hashed.proof == Proof::kProven) {
    remember(path, form, hashed, unshelved);
  } else if (pending.size() < kMaxPending) {
    pending.try_emplace({path, form}, clock.monotonic_ns());
  }
}

Result<std::string> Fingerprints::State::hash(const std::string& path, Form form) {
  Result<Hashed> hashed =
      hash_with_proof(path, form, options.strict ? Effort::kNoProof : Effort::kAnswer);
  if (!hashed) return hashed.take_error();
  count(*hashed);
  remember_or_wait(path, form, *hashed);
  return std::move(hashed->fingerprint);
}

Result<std::string> Fingerprints::State::current(const std::string& path, Form form) {
  if (form == Form::kStat) return fingerprint(path, form);
  Result<Recalled> recalled = recall(path, form);
  if (!recalled) return recalled.take_error();
  if (!recalled->fingerprint.empty()) return std::move(recalled->fingerprint);
  return hash(path, form);
}

// Whether the root, of which nothing is known, is another than expected. One that cannot be hashed
// is, for want of memory too: this runs on threads on which nothing may be thrown.
bool Fingerprints::State::is_stale(const ResolvedRoot& root) noexcept {
  try {
    const Result<std::string> now = hash(root.path, form_of(root.expected_hash));
    return !now || *now != root.expected_hash;
  } catch (const std::exception&) {
    return true;
  }
}

std::optional<std::size_t> Fingerprints::State::first_stale_of(std::span<const ResolvedRoot> roots,
                                                               std::span<const Unhashed> unhashed) {
  constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> lowest{kNone};
  // Roots are taken in their order, so that those left out once one is stale come after it.
  const auto work = [&] {
    for (;;) {
      const std::size_t at = next.fetch_add(1);
      if (at >= unhashed.size() || unhashed[at].index > lowest.load()) return;
      if (!is_stale(roots[unhashed[at].index])) continue;
      std::size_t so_far = lowest.load();
      while (unhashed[at].index < so_far &&
             !lowest.compare_exchange_weak(so_far, unhashed[at].index)) {
      }
    }
  };
  std::uint64_t bytes = 0;
  for (const Unhashed& root : unhashed) bytes += root.size;
  const std::size_t wanted =
      bytes < kWorthThreads
          ? 1
          : std::min(unhashed.size(),
                     static_cast<std::size_t>(std::max<std::int64_t>(1, options.threads)));
  std::vector<std::thread> threads;
  {
    const core::SignalsBlocked quiet;
    try {
      while (threads.size() + 1 < wanted) {
        threads.emplace_back([&work] {
          const core::LibraryThread mark;
          work();
        });
      }
    } catch (const std::exception&) {  // no more threads: those that there are do it
    }
  }
  work();
  for (std::thread& thread : threads) thread.join();
  if (lowest.load() == kNone) return std::nullopt;
  return lowest.load();
}

Fingerprints::Fingerprints(Options options, FingerprintShelf* shelf, core::Clock& clock,
                           core::Log& log)
    : state_(std::make_unique<State>(options, shelf, clock, log)) {
  const core::ClockEpoch epoch = core::clock_epoch();
  if (!options.strict && !epoch.same_as(epoch)) {
    log.write(core::LogLevel::kWarn, "tool_cache.fingerprints",
              "/proc/sys/kernel/random/boot_id cannot be read: no fingerprint is remembered");
  }
}

Fingerprints::~Fingerprints() = default;

Result<std::string> Fingerprints::current(const std::string& path, Form form) {
  return state_->current(path, form);
}

std::optional<std::size_t> Fingerprints::first_stale(std::span<const ResolvedRoot> roots) {
  // What one stat answers first; a stale one there spares the hashing of all that follow.
  std::vector<Unhashed> unhashed;
  std::optional<std::size_t> stale;
  for (std::size_t i = 0; i < roots.size() && !stale; ++i) {
    const Form form = form_of(roots[i].expected_hash);
    if (form == Form::kStat) {
      const Result<std::string> now = fingerprint(roots[i].path, form);
      if (!now || *now != roots[i].expected_hash) stale = i;
      continue;
    }
    const Result<State::Recalled> recalled = state_->recall(roots[i].path, form);
    if (recalled && recalled->fingerprint.empty()) {
      const bool content = form == Form::kContent;
      unhashed.push_back({i, content ? recalled->stamp.size : 0});
    } else if (!recalled || recalled->fingerprint != roots[i].expected_hash) {
      stale = i;
    }
  }
  const std::optional<std::size_t> earlier = state_->first_stale_of(roots, unhashed);
  return earlier ? earlier : stale;
}

std::size_t Fingerprints::settle_pending() {
  State::Pending waiting;
  std::vector<RememberedFingerprint> for_shelf;
  {
    const std::lock_guard lock(state_->mutex);
    waiting.swap(state_->pending);
    for_shelf.swap(state_->unshelved);
  }
  const std::int64_t now_ns = state_->clock.monotonic_ns();
  std::uint64_t bytes = 0;
  for (auto it = waiting.begin(); it != waiting.end() && bytes < kBytesAtATime;) {
    const auto& [path, form] = it->first;
    const Result<Hashed> hashed = hash_with_proof(path, form, Effort::kProof);
    if (hashed && !hashed->fingerprint.empty()) {
      state_->count(*hashed);
      bytes += hashed->stamp.size;
    }
    if (hashed && hashed->proof == Proof::kProven) {
      state_->remember(path, form, *hashed, for_shelf);
    }
    const bool wait =
        hashed && hashed->proof == Proof::kLater && now_ns - it->second < kPendingPatience;
    it = wait ? std::next(it) : waiting.erase(it);
  }
  if (!for_shelf.empty()) state_->shelf->keep(for_shelf);
  const std::lock_guard lock(state_->mutex);
  state_->pending.merge(waiting);
  return state_->pending.size();
}

FingerprintCounts Fingerprints::counts() const {
  FingerprintCounts counts;
  counts.remembered = state_->remembered.load(std::memory_order_relaxed);
  counts.hashed = state_->hashes.load(std::memory_order_relaxed);
  counts.bytes_hashed = state_->bytes_hashed.load(std::memory_order_relaxed);
  return counts;
}

}  // namespace satchel::tool_cache
