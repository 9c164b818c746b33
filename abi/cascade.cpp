// The ABI of the cascade.
#include "cascade/cascade.hpp"

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "boundary.hpp"
#include "cascade_parts.hpp"
#include "host.hpp"
#include "satchel/satchel.h"
#include "usage.hpp"

using satchel::abi::CascadeTables;
using satchel::abi::Context;
using satchel::abi::HandleType;
using satchel::abi::Pin;
using satchel::cascade::Cascade;
using satchel::cascade::Config;
using satchel::cascade::HeaderView;
using satchel::cascade::ReportRange;
using satchel::cascade::Usage;
using satchel::cascade::UsageError;
using satchel::core::Result;
using satchel::core::Status;
namespace abi = satchel::abi;

namespace {

constexpr int32_t kQuarterHour = 900;
constexpr int32_t kFurthestOffset = 18 * 3600;

struct OpenCascade {
  OpenCascade(std::shared_ptr<Context> shared, const Config& config,
              satchel::cascade::CascadeParts parts)
      : context(std::move(shared)),
        engine(config, std::move(parts), context->clock(), *context->log) {}

  const std::shared_ptr<Context> context;  // its clock and log serve the engine until it is gone
  Cascade engine;
};

template <class Use>
satchel_status with_cascade(satchel_cascade* cascade, satchel_error* error, Use use) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Pin pin;
    const Status pinned = pin.acquire_outermost(cascade, HandleType::kCascade);
    if (pinned == Status::kBusy) {
      return satchel::core::Error{
          pinned, "a callback may not use the satchel_cascade that it runs for", 0, 0};
    }
    if (pinned != Status::kOk) return abi::handle_error(pinned, cascade, HandleType::kCascade);
    return use(pin.object<OpenCascade>().engine);
  });
}

Result<std::vector<HeaderView>> read_headers(const satchel_http_header* headers, size_t count) {
  const Result<std::span<const satchel_http_header>> given =
      abi::items_of(headers, count, "headers");
  if (!given) return given.error();
  std::vector<HeaderView> read;
  read.reserve(count);
  for (const satchel_http_header& header : *given) {
    const Result<std::string_view> name =
        abi::bytes_of(header.name.data, header.name.len, "headers.name");
    if (!name) return name.error();
    const Result<std::string_view> value =
        abi::bytes_of(header.value.data, header.value.len, "headers.value");
    if (!value) return value.error();
    read.emplace_back(*name, *value);
  }
  return read;
}

Result<ReportRange> read_range(const satchel_report_range* range) {
  ReportRange read;
  if (range == nullptr) return read;
  if (Result<void> checked = abi::check_input_struct(range, sizeof *range, "range"); !checked) {
    return checked.take_error();
  }
  if (range->utc_offset_s % kQuarterHour != 0 || range->utc_offset_s > kFurthestOffset ||
      range->utc_offset_s < -kFurthestOffset) {
    return abi::argument_error("range.utc_offset_s",
                               "is no multiple of 900 within 18 hours of UTC");
  }
  read.utc_offset_s = range->utc_offset_s;
  if (range->from != 0) read.from = satchel::core::timestamp_of_ns(range->from);
  if (range->to != 0) read.to = satchel::core::timestamp_of_ns(range->to);
  return read;
}

// Tells the host what came of a resolve that it did not wait for.
void call_back(satchel_usage_done done, void* user, std::optional<Usage> usage) {
  satchel_usage* given = nullptr;
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = abi::guarded(&error, [&]() -> Result<Status> {
    if (!usage) {
      return satchel::core::Error{Status::kHandle, "the satchel_cascade was closed", 0, 0};
    }
    return abi::give_usage(std::move(*usage), &given);
  });
  done(user, status, given, &error);
}

}  // namespace

extern "C" {

void satchel_report_range_init(satchel_report_range* range) {
  if (range != nullptr) *range = SATCHEL_REPORT_RANGE_INIT;
}

satchel_status satchel_cascade_open(satchel_library* library, const satchel_cascade_parts* parts,
                                    const char* config, size_t config_len, satchel_cascade** out,
                                    satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    const Result<CascadeTables> tables = abi::take_cascade_tables(parts);
    if (!tables) return tables.error();
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = nullptr;
    const Result<std::string_view> text = abi::bytes_of(config, config_len, "config");
    if (!text) return text.error();
    Pin pin;
    const Status pinned = pin.acquire(library, HandleType::kLibrary);
    if (pinned != Status::kOk) return abi::handle_error(pinned, library, HandleType::kLibrary);
    const auto context = std::static_pointer_cast<Context>(pin.shared());
    const Result<Config> read = satchel::cascade::read_cascade_config(*text);
    if (!read) return read.error();
    Result<satchel::cascade::CascadeParts> made =
        abi::make_cascade_parts(parts, *tables, *read, context);
    if (!made) return made.take_error();
    auto opened = std::make_shared<OpenCascade>(context, *read, std::move(*made));
    *out = static_cast<satchel_cascade*>(
        abi::open_handle(HandleType::kCascade, std::move(opened), library));
    return Status::kOk;
  });
}

satchel_status satchel_cascade_close(satchel_cascade** cascade) {
  if (cascade != nullptr) {
    // Whoever is inside would otherwise be waited for until the endpoint answers.
    Pin pin;
    if (pin.acquire_outermost(*cascade, HandleType::kCascade) == Status::kOk) {
      pin.object<OpenCascade>().engine.break_off();
    }
  }
  return abi::close_and_forget(cascade, HandleType::kCascade);
}

satchel_status satchel_cascade_resolve(satchel_cascade* cascade, satchel_usage** out,
                                       satchel_error* error) {
  return with_cascade(cascade, error, [&](Cascade& engine) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = nullptr;
    return abi::give_usage(engine.resolve(), out);
  });
}

satchel_status satchel_cascade_resolve_start(satchel_cascade* cascade, satchel_usage_done done,
                                             void* user, satchel_error* error) {
  return with_cascade(cascade, error, [&](Cascade& engine) -> Result<Status> {
    if (done == nullptr) return abi::argument_error("done", "is NULL");
    const bool started = engine.resolve_start(
        [done, user](std::optional<Usage> usage) { call_back(done, user, std::move(usage)); });
    if (!started) {
      return satchel::core::Error{Status::kLimit, "1024 wait for this satchel_cascade already", 0,
                                  0};
    }
    return Status::kOk;
  });
}

satchel_status satchel_cascade_observe(satchel_cascade* cascade, const satchel_http_header* headers,
                                       size_t count, satchel_error* error) {
  return with_cascade(cascade, error, [&](Cascade& engine) -> Result<Status> {
    const Result<std::vector<HeaderView>> read = read_headers(headers, count);
    if (!read) return read.error();
    return abi::answer(error, engine.observe(*read) ? Status::kOk : Status::kUnchanged);
  });
}

satchel_status satchel_cascade_report(satchel_cascade* cascade, const satchel_report_range* range,
                                      satchel_buffer* out, satchel_error* error) {
  return with_cascade(cascade, error, [&](Cascade& engine) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    const Result<ReportRange> read = read_range(range);
    if (!read) return read.error();
    Result<std::string> report = engine.report(*read);
    if (report) {
      abi::fill_buffer(out, std::move(*report));
      return Status::kOk;
    }
    if (report.error().status == Status::kNotHandled) {
      return abi::answer(error, Status::kNotHandled, report.take_error().message);
    }
    if (report.error().status == Status::kUnavailable) {
      return abi::unavailable(static_cast<UsageError>(report.error().reason));
    }
    return report.take_error();
  });
}

satchel_status satchel_cascade_metrics(satchel_cascade* cascade, satchel_buffer* out,
                                       satchel_error* error) {
  return with_cascade(cascade, error, [&](Cascade& engine) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    abi::fill_buffer(out, engine.metrics());
    return Status::kOk;
  });
}

}  // extern "C"
