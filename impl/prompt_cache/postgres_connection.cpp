#include "prompt_cache/postgres_connection.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <utility>

namespace satchel::prompt_cache {
namespace {

using Steady = PostgresConnection::Steady;

constexpr const char* kComponent = "prompt_cache.postgres";
constexpr int kBinary = 1;

// libpq's messages are lines; ours is one.
std::string one_line(std::string_view text) {
  std::string line(text);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::replace(line.begin(), line.end(), '\t', ' ');
  return line;
}

// False when the time is over.
bool wait_for(int socket, short events, Steady::time_point until) {
  pollfd polled{socket, events, 0};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Steady::now()).count();
    if (left <= 0) return false;
    const int most = static_cast<int>(std::min<std::int64_t>(left, 60'000));
    const int ready = ::poll(&polled, 1, most);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

}  // namespace

PostgresConnection::PostgresConnection(const core::LibPq& pq, core::Log& log)
    : pq_(pq), log_(log) {}

// Says goodbye if that can be done without waiting.
PostgresConnection::~PostgresConnection() {
  if (connection_ != nullptr) pq_.finish(connection_);
}

core::Result<std::unique_ptr<PostgresConnection>> PostgresConnection::open(
    const core::LibPq& pq, const std::string& conninfo, Steady::time_point until, core::Log& log,
    const PostgresOrder& order) {
  std::unique_ptr<PostgresConnection> connection(new PostgresConnection(pq, log));
  if (core::Result<void> done = connection->connect(conninfo, order, until); !done) {
    return done.take_error();
  }
  return connection;
}

core::Result<void> PostgresConnection::connect(const std::string& conninfo,
                                               const PostgresOrder& order,
                                               Steady::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Steady::now()).count();
  // Of a machine that is gone: then the system says so, and libpq goes on to the next one.
  const std::string& list = order.hosts.empty() ? order.addresses : order.hosts;
  const auto hosts = std::count(list.begin(), list.end(), ',') + 1;
  const std::string patience = std::to_string(std::max<std::int64_t>(left / hosts, 1));
  // What stands before the connection string may be changed by it, what comes after may not.
  const std::array<const char*, 8> keywords = {"tcp_user_timeout", "fallback_application_name",
                                               "dbname",           "host",
                                               "hostaddr",         "port",
                                               "client_encoding",  nullptr};
  const std::array<const char*, 8> values = {
      patience.c_str(),        "satchel",           conninfo.c_str(), order.hosts.c_str(),
      order.addresses.c_str(), order.ports.c_str(), "UTF8",           nullptr};
  connection_ = pq_.connect_start_params(keywords.data(), values.data(), 1);
  if (connection_ == nullptr) return core::Error{core::Status::kMemory, "out of memory"};
  pq_.set_notice_processor(
      connection_,
      [](void* log, const char* text) {
        static_cast<core::Log*>(log)->write(core::LogLevel::kDebug, kComponent, one_line(text));
      },
      &log_);
  PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
  if (pq_.status(connection_) == CONNECTION_BAD) wants = PGRES_POLLING_FAILED;
  while (wants != PGRES_POLLING_OK) {
    if (wants == PGRES_POLLING_FAILED) return core::Error{core::Status::kIo, error_text()};
    const short events = wants == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (!wait_for(pq_.socket(connection_), events, until)) {
      return core::Error{core::Status::kTimeout, "no connection within the time for it"};
    }
    wants = pq_.connect_poll(connection_);
  }
  if (pq_.setnonblocking(connection_, 1) != 0 || pq_.enter_pipeline_mode(connection_) != 1) {
    return core::Error{core::Status::kIo, error_text()};
  }
  return core::Ok{};
}

PostgresConnection::Answer PostgresConnection::run(std::span<const PostgresStep> steps,
                                                   Steady::time_point until) {
  Answer answer;
  settled_ = false;
  const std::ptrdiff_t commits = std::count_if(steps.begin(), steps.end(), [](const auto& step) {
    return step.kind == PostgresStep::Kind::kCommit;
  });
  std::ptrdiff_t transactions = commits + 1;
  const bool sent = std::all_of(steps.begin(), steps.end(),
                                [this](const PostgresStep& step) { return send(step); }) &&
                    pq_.pipeline_sync(connection_) == 1;
  if (!sent) {
    answer.failure = lost();
    return answer;
  }
  for (;;) {
    const int unsent = pq_.flush(connection_);
    if (unsent < 0) break;
    if (take_results(answer, transactions)) {
      // What only resembles PostgreSQL may end a pipeline without all of its answers.
      settled_ = answer.failure.failed ||
                 answer.rows.size() + static_cast<std::size_t>(commits) == steps.size();
      if (!settled_) answer.failure = {true, true, false, "", "the server left out an answer"};
      return answer;
    }
    const auto events = static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
    if (pq_.status(connection_) == CONNECTION_BAD) break;
    if (!wait_for(pq_.socket(connection_), events, until)) {
      answer.failure = {true, true, true, "", "no answer in time"};
      return answer;
    }
    if (pq_.consume_input(connection_) == 0) break;
  }
  // What the server said before it closed, if it did, is a better reason than that it closed.
  take_results(answer, transactions);
  if (!answer.failure.failed) answer.failure = lost();
  answer.failure.lost = true;
  return answer;
}

bool PostgresConnection::send(const PostgresStep& step) {
  if (step.kind == PostgresStep::Kind::kCommit) return pq_.pipeline_sync(connection_) == 1;
  if (step.kind == PostgresStep::Kind::kPrepare) {
    return pq_.send_prepare(connection_, step.name, step.text, 0, nullptr) == 1;
  }
  std::vector<const char*> values;
  std::vector<int> lengths;
  for (const std::string& value : step.values) {
    values.push_back(value.data());
    lengths.push_back(static_cast<int>(value.size()));
  }
  const std::vector<int> formats(values.size(), kBinary);
  const int count = static_cast<int>(values.size());
  if (step.kind == PostgresStep::Kind::kPrepared) {
    return pq_.send_query_prepared(connection_, step.text, count, values.data(), lengths.data(),
                                   formats.data(), kBinary) == 1;
  }
  return pq_.send_query_params(connection_, step.text, count, nullptr, values.data(),
                               lengths.data(), formats.data(), kBinary) == 1;
}

bool PostgresConnection::take_results(Answer& answer, std::ptrdiff_t& transactions) {
  bool ended = false;  // a null after a step's results; a second one says that there is no more
  while (pq_.is_busy(connection_) == 0) {
    PGresult* result = pq_.get_result(connection_);
    if (result == nullptr) {
      if (std::exchange(ended, true)) return false;
      continue;
    }
    ended = false;
    PostgresRows rows(pq_, result);
    switch (pq_.result_status(result)) {
      case PGRES_PIPELINE_SYNC:
        if (--transactions == 0) return true;
        break;
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK:
        answer.rows.push_back(std::move(rows));
        break;
      default:
        note_failure(answer, result);
    }
  }
  return false;
}

void PostgresConnection::note_failure(Answer& answer, PGresult* result) {
  if (answer.failure.failed) return;  // the others failed because of it
  const char* sqlstate = pq_.result_error_field(result, PG_DIAG_SQLSTATE);
  const char* message = pq_.result_error_field(result, PG_DIAG_MESSAGE_PRIMARY);
  answer.failure.failed = true;
  answer.failure.sqlstate = sqlstate != nullptr ? sqlstate : "";
  answer.failure.message = message != nullptr ? one_line(message) : error_text();
  // The server is going, or never let us in.
  answer.failure.lost = answer.failure.in_class("08") || answer.failure.is("57P01") ||
                        answer.failure.is("57P02") || answer.failure.is("57P03") ||
                        answer.failure.is("57P05") || answer.failure.is("53300");
}

bool PostgresConnection::alive() {
  if (!settled_) return false;
  // A notice or a changed setting is no harm, and gone once it is read. The end stays readable.
  for (int unasked = 0; unasked < 3; ++unasked) {
    pollfd polled{pq_.socket(connection_), POLLIN, 0};
    if (::poll(&polled, 1, 0) == 0) return true;
    if (pq_.consume_input(connection_) == 0 || pq_.is_busy(connection_) == 1) return false;
  }
  return false;
}

PostgresFailure PostgresConnection::lost() const { return {true, true, false, "", error_text()}; }

std::string PostgresConnection::error_text() const {
  std::string text = one_line(pq_.error_message(connection_));
  return text.empty() ? "the connection is gone" : text;
}

}  // namespace satchel::prompt_cache
