#include "engine/text/jinja/functions.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "engine/base/status_macros.h"
#include "engine/text/jinja/operators.h"

namespace intactkv::jinja {

namespace {

using Result = absl::StatusOr<Value>;

Result Range(const Arguments& arguments, Budget& budget) {
  static constexpr std::string_view kParameters[] = {"start", "stop", "step"};
  ASSIGN_OR_RETURN(const Values args, Bind(arguments, kParameters, "range"));
  if (args[0].as_int() == nullptr) return InvalidArgument("chat template: range of a non-int");
  ASSIGN_OR_RETURN(int64_t start, IntOr(args[0], 0));
  ASSIGN_OR_RETURN(int64_t stop, IntOr(args[1], 0));
  ASSIGN_OR_RETURN(const int64_t step, IntOr(args[2], 1));
  if (args[1].is_undefined()) stop = std::exchange(start, 0);
  if (step == 0) return InvalidArgument("chat template: range with step zero");
  Values items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    RETURN_IF_ERROR(budget.Spend(1));
    items.push_back(Value::Of(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value::List(std::move(items));
}

Result Dict(const Arguments& arguments) {
  Entries entries;
  if (!arguments.positional.empty()) {
    return InvalidArgument("chat template: dict() takes named arguments only");
  }
  for (const auto& [name, value] : arguments.named) {
    entries.emplace_back(Value::Of(name, Origin::kTemplate), value);
  }
  return Value::Dict(std::move(entries));
}

Result RaiseException(const Arguments& arguments, Budget& budget) {
  static constexpr std::string_view kParameters[] = {"message"};
  ASSIGN_OR_RETURN(const Values args, Bind(arguments, kParameters, "raise_exception"));
  ASSIGN_OR_RETURN(const Text message, ToText(args[0], budget));
  return InvalidArgument(message.bytes());
}

Result StrftimeNow(const Arguments& arguments, int64_t now_unix_seconds, Budget& budget) {
  static constexpr std::string_view kParameters[] = {"format"};
  ASSIGN_OR_RETURN(const Values args, Bind(arguments, kParameters, "strftime_now"));
  ASSIGN_OR_RETURN(const Text format, TextOr(args[0], ""));
  RETURN_IF_ERROR(budget.SpendBytes(format.size()));
  const auto now = static_cast<std::time_t>(now_unix_seconds);
  std::tm utc{};
  if (gmtime_r(&now, &utc) == nullptr) return InvalidArgument("chat template: no such time");
  std::array<char, 256> buffer;
  const std::string text(format.bytes());
  const size_t size = std::strftime(buffer.data(), buffer.size(), text.c_str(), &utc);
  if (size == 0 && !format.empty()) {
    return InvalidArgument("chat template: strftime_now() format too long");
  }
  return Value::Of({buffer.data(), size},
                   format.HasRequestBytes() ? Origin::kRequest : Origin::kTemplate);
}

}  // namespace

absl::StatusOr<std::shared_ptr<NamespaceData>> MakeNamespace(const Arguments& arguments) {
  if (!arguments.positional.empty()) {
    return InvalidArgument("chat template: namespace() takes named arguments only");
  }
  auto data = std::make_shared<NamespaceData>();
  data->attributes = arguments.named;
  return data;
}

const Function* FindFunction(std::string_view name) {
  static constexpr Function kFunctions[] = {
      {"range"}, {"dict"}, {"raise_exception"}, {"strftime_now"}, {"namespace"}};
  const auto* it = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                [&](const Function& f) { return f.name == name; });
  return it == std::end(kFunctions) ? nullptr : it;
}

Result CallFunction(const Function& function, const Arguments& arguments, int64_t now_unix_seconds,
                    Budget& budget) {
  if (function.name == "range") return Range(arguments, budget);
  if (function.name == "dict") return Dict(arguments);
  if (function.name == "raise_exception") return RaiseException(arguments, budget);
  return StrftimeNow(arguments, now_unix_seconds, budget);
}

}  // namespace intactkv::jinja
