// A bounded number of connections for many threads. They are opened by a thread of the pool, so
// that nobody else waits for a name server or for more than one is worth; while the server is away,
// that thread alone asks for it, and all others are turned away at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "prompt_cache/postgres_connection.hpp"

namespace satchel::prompt_cache {

// All calls from any thread.
class PostgresPool {
 public:
  using Steady = PostgresConnection::Steady;
  using Open = std::function<core::Result<std::unique_ptr<PostgresConnection>>()>;

  // `open` is called on the pool's thread, from now on.
  PostgresPool(std::size_t size, std::chrono::milliseconds wait, Open open);
  PostgresPool(const PostgresPool&) = delete;
  PostgresPool& operator=(const PostgresPool&) = delete;
  ~PostgresPool();

  // A connection, for as long as this lives.
  class Lease {
   public:
    Lease(PostgresPool& pool, std::unique_ptr<PostgresConnection> connection)
        : pool_(&pool), connection_(std::move(connection)) {}
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      if (connection_ != nullptr) pool_->give_back(std::move(connection_));
    }
    PostgresConnection* operator->() const { return connection_.get(); }
    // It is not to be used again, by anybody.
    void drop() { pool_->dropped(std::move(connection_)); }

   private:
    PostgresPool* pool_;
    std::unique_ptr<PostgresConnection> connection_;
  };

  // kBusy: all are in use, and none became free in the pool's time. Others: there is none, with the
  // reason; at once where the server is known to be away, but for who is `patient` until `until`.
  core::Result<Lease> borrow(Steady::time_point until, bool patient);

 private:
  using Connection = std::unique_ptr<PostgresConnection>;

  // The one used last, of those that are as good as new; others go to `old`.
  Connection take_idle_locked(std::vector<Connection>& old);
  [[nodiscard]] core::Error none_locked() const;
  void give_back(Connection connection);
  void dropped(Connection connection);

  void run();
  [[nodiscard]] bool wants_one_locked() const;
  void open_one(std::unique_lock<std::mutex>& lock);

  const std::size_t size_;
  const std::chrono::milliseconds wait_;
  const Open open_one_more_;

  std::mutex mutex_;  // of all below
  std::condition_variable free_;
  std::condition_variable work_;
  std::vector<Connection> idle_;
  std::size_t open_ = 0;  // idle or lent
  std::size_t waiting_ = 0;
  bool away_ = false;  // none is open, and the last attempt failed
  core::Error last_error_;
  std::size_t failures_ = 0;  // attempts, one after the other
  Steady::time_point next_attempt_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace satchel::prompt_cache
