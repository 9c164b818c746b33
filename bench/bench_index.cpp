// What the indexes cost, against the limits of the design.
//
//   bench_index [--quick]
//
// Prints rows `name  target  figure  verdict`. The bare selects are SQLite's own, with its own VFS,
// prepared once and stepped in one read transaction, over the same table in the same run: the two
// take turns, so that both see the same machine.

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "prompt_cache/entry_key.hpp"
#include "prompt_cache/memory_index.hpp"
#include "prompt_cache/sqlite_index.hpp"
#include "prompt_cache/sqlite_schema.hpp"

namespace {

using namespace satchel::prompt_cache;  // NOLINT: a program of one file
using satchel::core::kNanosPerSecond;

constexpr std::int64_t kNow = 1'800'000'000 * kNanosPerSecond;
constexpr std::size_t kCandidates = 80;
constexpr std::size_t kScopes = 100;

double now_us() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void require(bool done, const std::string& what) {
  if (done) return;
  std::fprintf(stderr, "bench_index: %s\n", what.c_str());
  std::exit(1);
}

void print(const char* name, double limit, double figure, const char* unit) {
  if (limit > 0) {
    std::printf("%-54s <= %5.1f %-10s %9.2f %-10s %s\n", name, limit, unit, figure, unit,
                figure <= limit ? "ok" : "MISSED");
  } else {
    std::printf("%-54s %-19s %9.2f %-10s\n", name, "-", figure, unit);
  }
}

class Directory {
 public:
  Directory() {
    std::string name = std::filesystem::temp_directory_path() / "satchel-bench-XXXXXX";
    require(mkdtemp(name.data()) != nullptr, "cannot make a directory for the index");
    path_ = name;
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Random {
 public:
  PrefixHash hash() {
    PrefixHash hash{};
    for (std::size_t at = 0; at < hash.size(); at += 8) {
      const std::uint64_t word = engine_();
      std::memcpy(hash.data() + at, &word, sizeof word);
    }
    return hash;
  }
  std::size_t below(std::size_t limit) { return engine_() % limit; }

 private:
  std::mt19937_64 engine_{7};
};

Scope scope_of(std::size_t i) {
  return {"org-" + std::to_string(i % kScopes), "gpt-4o-mini", "bytes-v1"};
}

// SQLite as it comes.
class Bare {
 public:
  explicit Bare(const std::string& path) {
    const int rc = sqlite3_open_v2(path.c_str(), &connection_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, "unix");
    require(rc == SQLITE_OK, "cannot open " + path);
    begin_ = prepare("BEGIN");
    select_ = prepare(kSelectRow);
    end_ = prepare("COMMIT");
  }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;
  ~Bare() {
    for (sqlite3_stmt* statement : {begin_, select_, end_}) sqlite3_finalize(statement);
    sqlite3_close(connection_);
  }

  // A million rows in random order, as years of commits would leave them, in one transaction.
  void fill(const std::vector<PrefixHash>& hashes) {
    execute("PRAGMA cache_size=-300000");
    sqlite3_stmt* insert = prepare("INSERT INTO entries VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    std::vector<ScopeId> scopes;
    for (std::size_t i = 0; i < kScopes; ++i) scopes.push_back(scope_id(scope_of(i)));
    execute("BEGIN");
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const EntryKey key{scopes[i % kScopes], hashes[i]};
      const auto tokens = static_cast<std::uint32_t>(1000 + i % 100'000);
      const Tier tier = static_cast<Tier>(i % kTierCount);
      const std::int64_t expires_at = kNow + tier_ns(tier) + static_cast<std::int64_t>(i);
      sqlite3_bind_int64(insert, 1, row_key(key));
      sqlite3_bind_blob(insert, 2, key.scope.data(), 16, SQLITE_STATIC);
      sqlite3_bind_blob(insert, 3, key.hash.data(), 32, SQLITE_STATIC);
      sqlite3_bind_int64(insert, 4, tokens);
      sqlite3_bind_int64(insert, 5, static_cast<int>(tier));
      sqlite3_bind_int64(insert, 6, expires_at);
      sqlite3_bind_int64(insert, 7, seal_of(key, tokens, tier, expires_at));
      require(sqlite3_step(insert) == SQLITE_DONE, sqlite3_errmsg(connection_));
      sqlite3_reset(insert);
    }
    execute("COMMIT");
    sqlite3_finalize(insert);
    execute("PRAGMA wal_checkpoint(TRUNCATE)");
    execute("PRAGMA cache_size=-2000");
  }

  // How many of the keys there are.
  std::size_t select(const ScopeId& scope, const std::vector<PrefixHash>& hashes) {
    std::size_t found = 0;
    sqlite3_step(begin_);
    sqlite3_reset(begin_);
    for (const PrefixHash& hash : hashes) {
      sqlite3_bind_int64(select_, 1, row_key({scope, hash}));
      if (sqlite3_step(select_) == SQLITE_ROW && sqlite3_column_bytes(select_, 1) == 32) ++found;
      sqlite3_reset(select_);
    }
    sqlite3_step(end_);
    sqlite3_reset(end_);
    return found;
  }

 private:
  sqlite3_stmt* prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    const int rc = sqlite3_prepare_v2(connection_, sql, -1, &statement, nullptr);
    require(rc == SQLITE_OK, sqlite3_errmsg(connection_));
    return statement;
  }
  void execute(const char* sql) {
    require(sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr) == SQLITE_OK,
            sqlite3_errmsg(connection_));
  }

  sqlite3* connection_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* select_ = nullptr;
  sqlite3_stmt* end_ = nullptr;
};

bool found(Index& index, const Scope& scope, const std::vector<PrefixHash>& hashes) {
  const auto answer = index.lookup(scope, hashes, kNow);
  require(answer.ok(), answer.ok() ? "" : answer.error().message);
  return answer->has_value();
}

std::vector<PrefixHash> unknown(Random& random, std::size_t count) {
  std::vector<PrefixHash> hashes(count);
  for (PrefixHash& hash : hashes) hash = random.hash();
  return hashes;
}

Commit three_entries(Random& random, std::size_t i) {
  Commit commit;
  commit.scope = scope_of(i);
  for (int n = 0; n < 3; ++n) {
    commit.writes.push_back({random.hash(), 2000, Tier::k1h, kNow + tier_ns(Tier::k1h)});
  }
  return commit;
}

void bench_lookups(Index& index, Bare& bare, Random& random, const std::vector<PrefixHash>& hashes,
                   int rounds) {
  std::vector<double> misses_ours;
  std::vector<double> misses_bare;
  std::vector<double> hit_ours;
  std::vector<double> hit_bare;
  for (int round = 0; round < rounds; ++round) {
    const std::size_t known = random.below(hashes.size());
    const Scope scope = scope_of(known);
    const ScopeId id = scope_id(scope);
    const std::vector<PrefixHash> first = unknown(random, kCandidates);
    const std::vector<PrefixHash> second = unknown(random, kCandidates);
    const double t0 = now_us();
    require(!found(index, scope, first), "a hit where none can be");
    const double t1 = now_us();
    require(bare.select(id, second) == 0, "a hit where none can be");
    misses_bare.push_back(now_us() - t1);
    misses_ours.push_back(t1 - t0);

    std::vector<PrefixHash> deepest = unknown(random, kCandidates);
    deepest[0] = hashes[known];
    const std::size_t other = random.below(hashes.size());
    const std::vector<PrefixHash> single = {hashes[other]};
    const ScopeId other_id = scope_id(scope_of(other));
    const double t2 = now_us();
    require(found(index, scope, deepest), "an entry is missing");
    const double t3 = now_us();
    require(bare.select(other_id, single) == 1, "an entry is missing");
    hit_bare.push_back(now_us() - t3);
    hit_ours.push_back(t3 - t2);
  }
  const double ours = median(misses_ours);
  const double theirs = median(misses_bare);
  print("sqlite: 80 candidates, no match, against bare selects", 1.3, ours / theirs, "times");
  print("sqlite: 80 candidates, no match", 0, ours, "us");
  print("  bare prepared selects", 0, theirs, "us");
  print("sqlite: 80 candidates, the deepest matches", 5, median(hit_ours), "us");
  print("  one bare prepared select", 0, median(hit_bare), "us");
}

void bench_commits(Index& index, Random& random, int rounds) {
  std::vector<double> handed_over;
  std::vector<double> written;
  for (int round = 0; round < rounds; ++round) {
    Commit commit = three_entries(random, static_cast<std::size_t>(round));
    const double t0 = now_us();
    require(index.commit(std::move(commit)), "a commit was refused");
    const double t1 = now_us();
    require(index.flush(10 * kNanosPerSecond), "a commit was not written");
    written.push_back(now_us() - t0);
    handed_over.push_back(t1 - t0);
  }
  print("sqlite: commit of 3 entries, handed over", 0, median(handed_over), "us");
  print("sqlite: commit of 3 entries, until written", 0, median(written), "us");

  std::vector<Commit> many;
  for (int i = 0; i < rounds; ++i)
    many.push_back(three_entries(random, static_cast<std::size_t>(i)));
  const double start = now_us();
  for (Commit& commit : many) require(index.commit(std::move(commit)), "a commit was refused");
  require(index.flush(20 * kNanosPerSecond), "commits were not written");
  print("sqlite: commit of 3 entries, many at once, each", 0, (now_us() - start) / rounds, "us");
}

void bench_memory(Index& index, Random& random, const std::vector<PrefixHash>& hashes, int rounds) {
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    Commit commit;
    commit.scope = scope_of(i);
    commit.writes.push_back({hashes[i], 2000, Tier::k1h, kNow + tier_ns(Tier::k1h)});
    index.commit(std::move(commit));
  }
  std::vector<double> hit;
  std::vector<double> misses;
  for (int round = 0; round < rounds; ++round) {
    const std::size_t known = random.below(hashes.size());
    const Scope scope = scope_of(known);
    std::vector<PrefixHash> deepest = unknown(random, kCandidates);
    const double t0 = now_us();
    require(!found(index, scope, deepest), "a hit where none can be");
    const double t1 = now_us();
    deepest[0] = hashes[known];
    const double t2 = now_us();
    require(found(index, scope, deepest), "an entry is missing");
    hit.push_back(now_us() - t2);
    misses.push_back(t1 - t0);
  }
  print("memory: 80 candidates, no match", 0, median(misses), "us");
  print("memory: 80 candidates, the deepest matches", 0, median(hit), "us");
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::string_view(argv[1]) == "--quick";
  const std::size_t entries = quick ? 100'000 : 1'000'000;
  const int rounds = quick ? 300 : 3000;

  Random random;
  std::vector<PrefixHash> hashes(entries);
  for (PrefixHash& hash : hashes) hash = random.hash();

  satchel::core::StderrLog log(satchel::core::LogLevel::kWarn);
  const Directory directory;
  SqliteIndexOptions options;
  options.path = directory.path() + "/index";
  {
    const auto index = make_sqlite_index(options, satchel::core::system_clock(), log);
    Bare bare(options.path + "/prompt_cache.db");
    bare.fill(hashes);
    const auto size = std::filesystem::file_size(options.path + "/prompt_cache.db");
    std::printf("%zu entries, %.0f bytes each\n", entries,
                static_cast<double>(size) / static_cast<double>(entries));
    bench_lookups(*index, bare, random, hashes, rounds);
    bench_commits(*index, random, rounds);
  }
  MemoryIndexOptions memory_options;
  memory_options.max_entries = 2 * entries;
  const auto memory = make_memory_index(memory_options, satchel::core::system_clock(), log);
  bench_memory(*memory, random, hashes, rounds);
  return 0;
}
