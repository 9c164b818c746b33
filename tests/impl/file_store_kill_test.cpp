// Threads and processes at one store at the same time, killed at random moments.
#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <functional>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "file_store_fixture.hpp"
#include "tool_cache/key_locks.hpp"

namespace satchel::tool_cache {
namespace {

namespace fs = std::filesystem;

constexpr int kKeys = 12;

Key key_number(unsigned n) { return key_of("key " + std::to_string(n)); }

// Says which key it belongs to, and is as long as its seed wants.
std::string payload_of_key(unsigned n, unsigned seed) {
  std::string payload = "key " + std::to_string(n) + " seed " + std::to_string(seed) + '\n';
  payload += noise(seed % 7 == 0 ? 150'000 : seed % 5000, seed);
  return payload;
}

bool belongs_to(std::string_view payload, unsigned n) {
  return payload.starts_with("key " + std::to_string(n) + " seed ");
}

// In memory that all processes share.
struct Shared {
  std::atomic<std::uint64_t> stored{0};
  std::atomic<std::uint64_t> found{0};
  std::atomic<std::uint64_t> wrong{0};    // a payload that is not the key's
  std::atomic<std::uint64_t> refused{0};  // an error: nobody damages anything
};

Shared& shared_memory() {
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return *new (memory) Shared;
}

void one_step(FileStore& store, Shared& shared, std::mt19937& random) {
  const unsigned n = random() % kKeys;
  const Key key = key_number(n);
  const unsigned what = random() % 10;
  if (what < 5) {
    Meta meta;
    meta.tool_kind = "kind " + std::to_string(n);
    if (store.persist(key, payload_of_key(n, random() % 4000), meta).ok()) {
      ++shared.stored;
    } else {
      ++shared.refused;
    }
  } else if (what < 6) {
    if (!store.remove(key).ok()) ++shared.refused;
  } else if (what == 6 && random() % 50 == 0) {
    if (!store.sweep(0).ok()) ++shared.refused;
  } else {
    core::Result<Stored> stored = store.lookup(key);
    if (!stored.ok()) {
      ++shared.refused;
    } else if (stored->meta != nullptr) {
      ++shared.found;
      const core::Result<std::string_view> view = stored->payload->view();
      if (!view.ok() || !belongs_to(*view, n) ||
          key_of(*view).hex() != stored->meta->payload_hash ||
          stored->meta->tool_kind != "kind " + std::to_string(n)) {
        ++shared.wrong;
      }
    }
  }
}

class FileStoreKill : public FileStoreFixture {
 protected:
  FileStore::Options options(unsigned seed) {
    FileStore::Options options;
    options.root = root();
    options.compress_min_bytes = seed % 2 == 0 ? 1000 : 0;
    return options;
  }
};

TEST_F(FileStoreKill, ThreadsReadAndReplaceOneAnothersEntries) {
  Shared& shared = shared_memory();
  const auto store = open(options(0));
  const auto other = open(options(1));
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      for (int i = 0; i < 1500; ++i) one_step(seed % 2 == 0 ? *store : *other, shared, random);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared.wrong, 0U);
  EXPECT_EQ(shared.refused, 0U);
  EXPECT_GT(shared.found, 0U);
  EXPECT_EQ(staged(), 0U);
  EXPECT_EQ(*store->sweep(0), 0U) << "nothing is half-written";
  munmap(&shared, sizeof shared);
}

// What persist() of the reference does: no locks, and a payload beside the meta of before.
void persist_as_the_reference(const fs::path& shard, const Key& key, const std::string& payload,
                              Meta meta) {
  meta.payload_hash = key_of(payload).hex();
  meta.bytes = payload.size();
  write_file(shard / ".verdant-tmp-1-1", payload);
  fs::rename(shard / ".verdant-tmp-1-1", shard / (key.hex() + ".payload"));
  write_file(shard / ".verdant-tmp-1-2", write_meta(meta));
  fs::rename(shard / ".verdant-tmp-1-2", shard / (key.hex() + ".meta.json"));
}

TEST_F(FileStoreKill, AnEntryReplacedAgainAndAgainIsReadWholeOrNotAtAll) {
  const auto store = open(options(1));
  const auto other = open(options(0));
  const Key key = key_number(0);
  for (const bool reference : {false, true}) {
    persist(*store, key, payload_of_key(0, 1), meta("1"));
    std::atomic<bool> done{false};
    std::thread writer([&] {
      for (unsigned i = 2; !done; ++i) {
        // Each payload under a kind that says which it is.
        const std::string payload = payload_of_key(0, i % 6 + 1);
        const Meta kind = meta(std::to_string(i % 6 + 1));
        if (reference) {
          persist_as_the_reference(shard_of(key), key, payload, kind);
        } else {
          persist(*other, key, payload, kind);
        }
      }
    });
    int found = 0;
    int damaged = 0;
    for (int i = 0; i < 200'000 && found < 4000; ++i) {
      core::Result<Stored> stored = store->lookup(key);
      if (!stored.ok()) ++damaged;
      if (!stored.ok() || stored->meta == nullptr) continue;
      ++found;
      const std::string expected =
          payload_of_key(0, static_cast<unsigned>(std::stoul(stored->meta->tool_kind)));
      EXPECT_EQ(*stored->payload->view(), expected);
    }
    done = true;
    writer.join();
    EXPECT_GT(found, 0);
    // Nobody damaged anything. (The reference may be held up between its two renames.)
    EXPECT_LE(damaged, reference ? found / 10 : 0);
  }
}

// ------------------------------------------------------------------ killed at a moment of choice

constexpr int kNoTracing = 77;

// Runs `work` in a child that is killed as it returns from its n-th system call, where the kernel
// does that too. False: it had come to its end before.
bool killed_at_system_call(int n, const std::function<void()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(kNoTracing);
    raise(SIGSTOP);
    work();
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  for (int calls = 0; WIFSTOPPED(status); ++calls) {
    // One stop on the way in, one on the way out.
    if (calls == 2 * n) kill(child, SIGKILL);
    ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (waitpid(child, &status, 0) != child) return false;
  }
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
  return WIFSIGNALED(status);
}

// Containers may refuse to let a process trace its own child.
bool may_trace() {
  const pid_t child = fork();
  if (child == 0) _exit(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : kNoTracing);
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(FileStoreKill, AWriterMayBeKilledAtAnySystemCall) {
  if (!may_trace()) GTEST_SKIP() << "tracing a child is not allowed here";
  struct Case {
    const char* before;
    const char* written;  // null: removed
  };
  const std::string same_in_other_words = prose(5000);  // stored plain, then compressed
  for (const Case& each :
       {Case{nullptr, "new"}, Case{"old", "new"}, Case{"old", "old"},
        Case{same_in_other_words.c_str(), same_in_other_words.c_str()}, Case{"old", nullptr}}) {
    int n = 0;
    for (bool killed = true; killed && !HasFailure(); ++n) {
      SCOPED_TRACE("killed at system call " + std::to_string(n));
      fs::remove_all(root());
      const auto plain = open(options(1));
      if (each.before != nullptr) persist(*plain, key_number(0), each.before);
      persist(*plain, key_number(1), "neighbour");
      killed = killed_at_system_call(n, [&] {
        const auto store = open(options(0));
        const bool done = each.written == nullptr
                              ? store->remove(key_number(0)).ok()
                              : store->persist(key_number(0), each.written, meta()).ok();
        if (!done) _exit(1);
      });
      const std::string expected = each.written == nullptr ? "(nothing)" : each.written;
      const std::string found = look(*plain, key_number(0));
      if (killed) {
        const bool as_before = each.before != nullptr && found == each.before;
        EXPECT_TRUE(found == "(nothing)" || found == expected || as_before) << found;
        // The same bytes again are there at every moment.
        EXPECT_TRUE(expected != "old" || found == "old") << found;
      } else {
        EXPECT_EQ(found, expected);
      }
      EXPECT_EQ(look(*plain, key_number(1)), "neighbour");
      ASSERT_TRUE(plain->sweep(0).ok());
      EXPECT_EQ(staged(), 0U);
      EXPECT_EQ(look(*plain, key_number(0)), found);
      EXPECT_EQ(fs::exists(payload_of(key_number(0))), found != "(nothing)") << "no orphan stays";
      EXPECT_EQ(fs::exists(meta_of(key_number(0))), found != "(nothing)");
      persist(*plain, key_number(0), "after");
      EXPECT_EQ(look(*plain, key_number(0)), "after") << "no lock stays";
    }
    EXPECT_GT(n, 10);
  }
}

TEST_F(FileStoreKill, ProcessesKilledAtRandomMomentsLeaveEveryEntryWholeOrAbsent) {
  Shared& shared = shared_memory();
  std::mt19937 random(7);
  std::array<pid_t, 4> children{};
  for (int round = 0; round < 150; ++round) {
    for (pid_t& child : children) {
      if (child != 0) continue;
      const auto seed = static_cast<unsigned>(random());
      child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        const auto store = open(options(seed));
        std::mt19937 own(seed);
        for (;;) one_step(*store, shared, own);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 25));
    for (pid_t& child : children) {
      if (round % 10 != 9 && random() % children.size() != 0) continue;
      ASSERT_EQ(kill(child, SIGKILL), 0);
      ASSERT_EQ(waitpid(child, nullptr, 0), child);
      child = 0;
    }
    if (round % 10 != 9) continue;
    // Nobody lives: each entry is whole or absent.
    const auto store = open(options(0));
    for (unsigned n = 0; n < kKeys; ++n) {
      const std::string found = look(*store, key_number(n));
      EXPECT_TRUE(found == "(nothing)" || belongs_to(found, n)) << found.substr(0, 80);
    }
  }
  for (pid_t child : children) {
    if (child == 0) continue;
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  EXPECT_EQ(shared.wrong, 0U);
  EXPECT_EQ(shared.refused, 0U);
  EXPECT_GT(shared.found, 0U);

  const auto store = open(options(0));
  ASSERT_TRUE(store->sweep(0).ok());
  EXPECT_EQ(staged(), 0U);
  std::size_t files = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root())) {
    const bool ours = entry.path().native().find("/.satchel/") != std::string::npos;
    if (entry.is_regular_file() && !ours) ++files;
  }
  std::size_t entries = 0;
  KeyLocks locks(root(), "keys");
  for (unsigned n = 0; n < kKeys; ++n) {
    if (store->contains(key_number(n))) ++entries;
    EXPECT_TRUE(locks.hold(key_number(n)).ok()) << "no lock stays";
  }
  EXPECT_EQ(files, 2 * entries) << "no orphan stays";
  munmap(&shared, sizeof shared);
}

TEST_F(FileStoreKill, ALockDiesWithItsHolderThoughAForkedChildLivesOn) {
  int ready[2];
  int go[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(go), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    KeyLocks locks(root(), "keys");
    const core::Result<KeyLocks::Held> held = locks.hold(key_of("k"));
    if (!held.ok()) _exit(1);
    const pid_t child = fork();
    char byte = 0;
    if (child == 0) {
      close(go[1]);
      (void)!write(ready[1], "x", 1);
      (void)!read(go[0], &byte, 1);  // lives until the test is over
      _exit(0);
    }
    pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(kill(parent, SIGKILL), 0);
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  KeyLocks locks(root(), "keys");
  EXPECT_TRUE(locks.hold(key_of("k")).ok());
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) close(fd);
}

TEST_F(FileStoreKill, AForkedChildCannotWriteThroughItsParentsStoreNorHarmIt) {
  const auto store = open();
  persist(*store, key_of("k"), "x");
  core::Result<std::unique_ptr<PayloadWriter>> writer = store->begin(key_of("w"));
  ASSERT_TRUE((*writer)->write(noise(100'000)).ok());
  const pid_t child = fork();
  if (child == 0) {
    const core::Result<void> stored = store->persist(key_of("k"), "y", meta());
    (*writer).reset();  // NOLINT: what a destructor does in the child
    _exit(!stored.ok() && stored.error().status == core::Status::kForked ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE((*writer)->commit(meta()).ok());
  EXPECT_EQ(look(*store, key_of("w")), noise(100'000));
  EXPECT_EQ(look(*store, key_of("k")), "x");
}

}  // namespace
}  // namespace satchel::tool_cache
