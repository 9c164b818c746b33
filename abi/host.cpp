#include "host.hpp"

#include <string>
#include <utility>

#include "core/config_reader.hpp"

namespace satchel::abi {

using core::LogLevel;
using core::Result;

namespace {

using Host = std::shared_ptr<HostTable<satchel_host>>;

constexpr std::int64_t kLatest = std::int64_t{1} << 62;

class HostLog final : public core::Log {
 public:
  HostLog(LogLevel threshold, Host host) : Log(threshold), host_(std::move(host)) {}

 protected:
  void emit(LogLevel level, std::string_view component, std::string_view message) override {
    (*host_)->log((*host_)->user, static_cast<int32_t>(level), component.data(), component.size(),
                  message.data(), message.size());
  }

 private:
  const Host host_;
};

class HostClock final : public core::Clock {
 public:
  HostClock(Host host, core::Log& log) : host_(std::move(host)), log_(log) {}

  std::int64_t unix_ns() override {
    std::int64_t now = 0;
    if (asked((*host_)->clock, now)) return now;
    return core::system_clock().unix_ns();
  }
  std::int64_t monotonic_ns() override {
    std::int64_t now = 0;
    if (asked((*host_)->monotonic, now)) return now;
    return core::system_clock().monotonic_ns();
  }

 private:
  bool asked(satchel_status (*clock)(void*, int64_t*), std::int64_t& now) {
    if (clock == nullptr) return false;
    satchel_status status = clock((*host_)->user, &now);
    // Times are added to lifetimes: what is centuries away would overflow.
    if (status == SATCHEL_OK && (now > kLatest || now < -kLatest)) status = SATCHEL_ERR_CALLBACK;
    if (status == SATCHEL_OK) return true;
    std::uint64_t suppressed = 0;
    if (status != SATCHEL_NOT_HANDLED &&
        trouble_.due(core::system_clock().monotonic_ns(), &suppressed)) {
      log_.write(LogLevel::kWarn, "clock",
                 std::string("the host's clock answered ") + satchel_status_name(status) +
                     ", using the system's");
    }
    return false;
  }

  const Host host_;
  core::Log& log_;
  core::LogOnce trouble_{60 * core::kNanosPerSecond};
};

bool read_log_level(const std::string& name, LogLevel& level) {
  for (const LogLevel candidate :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError, LogLevel::kOff}) {
    if (name == core::log_level_name(candidate)) {
      level = candidate;
      return true;
    }
  }
  return false;
}

}  // namespace

Result<std::shared_ptr<Context>> make_context(const Host& host, std::string_view config) {
  LogLevel level = LogLevel::kWarn;
  Result<void> read = core::read_config(config, [&](core::ConfigReader& reader) {
    std::string name = core::log_level_name(level);
    reader.text("log_level", name);
    if (!read_log_level(name, level)) {
      reader.reject(
          "log_level",
          "expected \"debug\", \"info\", \"warn\", \"error\" or \"off\", got \"" + name + "\"");
    }
  });
  if (!read) return read.take_error();

  auto context = std::make_shared<Context>();
  context->host = host;
  if (host != nullptr && (*host)->log != nullptr) {
    context->log = std::make_unique<HostLog>(level, host);
  } else {
    context->log = std::make_unique<core::StderrLog>(level);
  }
  if (host != nullptr && ((*host)->clock != nullptr || (*host)->monotonic != nullptr)) {
    context->host_clock = std::make_unique<HostClock>(host, *context->log);
  }
  return context;
}

}  // namespace satchel::abi
