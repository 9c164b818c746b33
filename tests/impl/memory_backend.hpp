// A backend that keeps its entries in memory, as PostgreSQL would on a server: several can share
// them, and a test can take it away.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "prompt_cache/entry_key.hpp"
#include "prompt_cache/index_backend.hpp"

namespace satchel::prompt_cache {

struct MemoryTable {
  std::mutex mutex;
  std::map<std::pair<ScopeId, PrefixHash>, Entry> rows;
  std::atomic<bool> away{false};
  std::atomic<int> finds{0};
  std::atomic<int> refreshes{0};
};

class MemoryBackend final : public IndexBackend {
 public:
  explicit MemoryBackend(std::shared_ptr<MemoryTable> table) : table_(std::move(table)) {}

  [[nodiscard]] const std::string& name() const override { return name_; }

  core::Result<std::vector<Entry>> find(const Scope& scope, std::span<const PrefixHash> candidates,
                                        std::int64_t live_after) override {
    ++table_->finds;
    if (table_->away) return gone();
    const std::lock_guard lock(table_->mutex);
    std::vector<Entry> found;
    for (const PrefixHash& hash : candidates) {
      const auto row = table_->rows.find({scope_id(scope), hash});
      if (row != table_->rows.end() && row->second.expires_at > live_after) {
        found.push_back(row->second);
      }
    }
    return found;
  }

  Written write(std::span<const PendingCommit* const> commits) override {
    Written written;
    if (table_->away) {
      written.outcome = Outcome::kAgain;
      written.why = gone();
      return written;
    }
    const std::lock_guard lock(table_->mutex);
    for (const PendingCommit* commit : commits) {
      for (const Entry& entry : commit->writes) {
        table_->rows[{commit->scope_id, entry.hash}] = entry;
        ++written.written;
      }
      if (!commit->refresh) continue;
      ++table_->refreshes;
      const auto row = table_->rows.find({commit->scope_id, commit->refresh->hash});
      if (row == table_->rows.end()) continue;
      row->second.expires_at = commit->refresh->expires_at;
      ++written.refreshed;
    }
    return written;
  }

  core::Result<void> clear() override {
    if (table_->away) return gone();
    const std::lock_guard lock(table_->mutex);
    table_->rows.clear();
    return core::Ok{};
  }

 private:
  static core::Error gone() { return {core::Status::kIo, "it is away"}; }

  const std::string name_ = "the table";
  const std::shared_ptr<MemoryTable> table_;
};

}  // namespace satchel::prompt_cache
