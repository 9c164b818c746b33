// One connection to PostgreSQL. Nothing here waits longer than it is told to: libpq never blocks,
// but for the look-up of a host's name.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/libpq.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "prompt_cache/postgres_address.hpp"
#include "prompt_cache/postgres_values.hpp"

namespace satchel::prompt_cache {

struct PostgresFailure {
  bool failed = false;
  bool lost = false;     // the connection is of no more use; another one may do
  bool timeout = false;  // no answer in time
  std::string sqlstate;  // of the server's answer; empty where it gave none
  std::string message;

  // It may be well with another connection: this one is gone, or what was prepared on it is no
  // longer true of the server, which is read-only now, or of the table, which is another now.
  [[nodiscard]] bool wants_new_connection() const {
    const bool permission = is("42501");
    return lost || is("25006") || is("26000") || is("0A000") || (in_class("42") && !permission);
  }
  [[nodiscard]] bool is(std::string_view code) const { return sqlstate == code; }
  [[nodiscard]] bool in_class(std::string_view two) const {
    return sqlstate.compare(0, 2, two) == 0;
  }
};

// A step of what is sent at once.
struct PostgresStep {
  // kCommit: what precedes is a transaction of its own.
  enum class Kind : std::uint8_t { kPrepare, kPrepared, kOnce, kCommit };
  Kind kind = Kind::kOnce;
  const char* text = nullptr;         // SQL, but of kPrepared: its name
  const char* name = nullptr;         // of kPrepare: what it is called from now on
  std::vector<std::string> values{};  // in binary
};

// One thread at a time.
class PostgresConnection {
 public:
  using Steady = std::chrono::steady_clock;

  // `conninfo` has been through read_postgres_address(), or libpq might quote it in an error. A
  // host that says nothing takes all the time there is: the next call is to begin with another.
  static core::Result<std::unique_ptr<PostgresConnection>> open(const core::LibPq& pq,
                                                                const std::string& conninfo,
                                                                Steady::time_point until,
                                                                core::Log& log,
                                                                const PostgresOrder& order = {});
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;
  ~PostgresConnection();

  struct Answer {
    PostgresFailure failure;         // of the first step that failed
    std::vector<PostgresRows> rows;  // of each step, where none failed
  };
  // All steps in one round trip; where one fails, nothing of its transaction is done.
  Answer run(std::span<const PostgresStep> steps, Steady::time_point until);

  // False: the server has closed it, or the last answer was not read to its end: what is left of it
  // would be taken for the next one.
  bool alive();
  [[nodiscard]] Steady::time_point opened_at() const { return opened_at_; }

 private:
  PostgresConnection(const core::LibPq& pq, core::Log& log);
  core::Result<void> connect(const std::string& conninfo, const PostgresOrder& order,
                             Steady::time_point until);
  bool send(const PostgresStep& step);
  // Counts down the transactions that have ended. True: the end of the answer is there.
  bool take_results(Answer& answer, std::ptrdiff_t& transactions);
  void note_failure(Answer& answer, PGresult* result);
  [[nodiscard]] PostgresFailure lost() const;
  [[nodiscard]] std::string error_text() const;

  const core::LibPq& pq_;
  core::Log& log_;
  PGconn* connection_ = nullptr;
  bool settled_ = true;  // no answer is on its way
  const Steady::time_point opened_at_ = Steady::now();
};

}  // namespace satchel::prompt_cache
