#include "prompt_cache/sqlite_reader.hpp"

#include "prompt_cache/sqlite_schema.hpp"

namespace satchel::prompt_cache {
namespace {

// Interior pages of a large index fit; leaves are the kernel's to keep.
constexpr int kCacheKib = 2048;
// Readers of a WAL wait for nobody, unless its index must be rebuilt.
constexpr std::int64_t kPatienceMicros = 50'000;

}  // namespace

core::SqliteFailure SqliteReader::open(const std::string& path) {
  if (core::SqliteFailure failure = connection_.open(path, kCacheKib); failure.failed())
    return failure;
  if (core::SqliteFailure failure = connection_.prepare("BEGIN", begin_); failure.failed())
    return failure;
  if (core::SqliteFailure failure = connection_.prepare(kSelectRow, select_); failure.failed())
    return failure;
  if (core::SqliteFailure failure = connection_.prepare("COMMIT", end_); failure.failed())
    return failure;
  // The first transaction opens WAL and wal-index: now, while nobody replaces them.
  const PrefixHash nothing{};
  return find({}, {&nothing, 1}, 0, {}).failure;
}

// Whatever happens, the connection is left without a transaction.
class SqliteReader::Reading {
 public:
  explicit Reading(SqliteReader& reader) : reader_(reader), bounded_(kPatienceMicros) {}
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading() {
    reader_.select_.reset();
    reader_.connection_.roll_back();
  }

 private:
  SqliteReader& reader_;
  core::BoundedWaits bounded_;
};

SqliteReader::Found SqliteReader::find(const ScopeId& scope, std::span<const PrefixHash> candidates,
                                       std::int64_t now,
                                       std::span<const PendingCommits::State> pending) {
  const Reading reading(*this);
  // Mostly the deepest matches, and one select is a transaction by itself.
  Found found = find_among(scope, candidates, 0, 1, now, pending);
  if (found.entry || found.failure.failed() || candidates.size() == 1) return found;

  if (const int rc = begin_.run(); rc != SQLITE_DONE) {
    return {connection_.failure(rc, "cannot begin to read"), std::nullopt};
  }
  found = find_among(scope, candidates, 1, candidates.size(), now, pending);
  if (const int rc = end_.run(); rc != SQLITE_DONE && !found.failure.failed()) {
    found = {connection_.failure(rc, "cannot end reading"), std::nullopt};
  }
  return found;
}

SqliteReader::Found SqliteReader::find_among(const ScopeId& scope,
                                             std::span<const PrefixHash> candidates,
                                             std::size_t from, std::size_t to, std::int64_t now,
                                             std::span<const PendingCommits::State> pending) {
  EntryKey key{scope, {}};
  PendingCommits::Walk waiting(pending);
  for (std::size_t i = from; i < to; ++i) {
    const PendingState* state = waiting.at(i);
    std::optional<Entry> entry;
    if (state == nullptr || !state->entry) {
      key.hash = candidates[i];
      select_.bind(1, row_key(key));
      const int rc = select_.step();
      if (rc == SQLITE_ROW) entry = entry_of_row(select_, key);
      select_.reset();
      if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return {connection_.failure(rc, "cannot read"), std::nullopt};
      }
    }
    if (state != nullptr) entry = state->over(entry);
    if (entry && now < entry->expires_at) return {{}, entry};
  }
  return {};
}

}  // namespace satchel::prompt_cache
