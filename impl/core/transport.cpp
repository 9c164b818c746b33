#include "core/transport.hpp"

#include "core/text.hpp"

namespace satchel::core {
namespace {

class WithBuiltIn final : public Transport {
 public:
  WithBuiltIn(std::unique_ptr<Transport> host, std::unique_ptr<Transport> built_in)
      : host_(std::move(host)), built_in_(std::move(built_in)) {}

  Result<HttpAnswer> send(const HttpRequest& request) override {
    Result<HttpAnswer> answer = host_->send(request);
    const bool handled = answer.ok() || answer.error().status != Status::kNotHandled;
    return handled ? std::move(answer) : built_in_->send(request);
  }
  void stop() override {
    host_->stop();
    built_in_->stop();
  }

 private:
  const std::unique_ptr<Transport> host_;
  const std::unique_ptr<Transport> built_in_;
};

}  // namespace

const std::string* HttpAnswer::header(std::string_view name) const {
  for (const auto& [known, value] : headers) {
    if (equals_ignoring_ascii_case(known, name)) return &value;
  }
  return nullptr;
}

std::unique_ptr<Transport> with_built_in(std::unique_ptr<Transport> host,
                                         std::unique_ptr<Transport> built_in) {
  if (host == nullptr) return built_in;
  return std::make_unique<WithBuiltIn>(std::move(host), std::move(built_in));
}

}  // namespace satchel::core
