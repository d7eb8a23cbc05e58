/* A driver library of two GPUs for the tests, steered by environment variables:
 *
 * FAKE_NVML_REFUSED    words, separated by commas: the metrics that are not supported (see `refuse`), or "init"
 * FAKE_NVML_PROCESSES  process numbers on the device, separated by commas; "self" is the calling process
 * FAKE_NVML_REASONS    bits of the clocks event reasons
 * FAKE_NVML_INIT_MS    how long the driver takes to start
 * FAKE_NVML_BUSY_FILE  while this file is there the GPU is busy; else its SM clock is at 345 MHz
 * FAKE_NVML_COUNTER    "steps": the energy counter follows the time, at the power, and moves every 100 ms
 *
 * The first device here is the second in the order that CUDA would give. All values differ between the two.
 */
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <nvml.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct nvmlDevice_st {
    const char *uuid;
    const char *name;
    unsigned int scale;
    unsigned long long energy_mj;
};

static struct nvmlDevice_st devices[2] = {
    {"GPU-aaaaaaaa-0000-0000-0000-000000000001", "Fake GPU slow", 1, 1000},
    {"GPU-bbbbbbbb-0000-0000-0000-000000000002", "Fake GPU fast", 2, 2000},
};

static int refuse(const char *metric) {
    const char *words = getenv("FAKE_NVML_REFUSED");
    size_t length = strlen(metric);
    while (words != NULL && *words != '\0') {
        size_t word = strcspn(words, ",");
        if (word == length && strncmp(words, metric, length) == 0) return 1;
        words += word + (words[word] == ',');
    }
    return 0;
}

#define REFUSE(metric) if (refuse(metric)) return NVML_ERROR_NOT_SUPPORTED

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    const char *delay_ms = getenv("FAKE_NVML_INIT_MS");
    if (delay_ms != NULL) usleep((useconds_t)atoi(delay_ms) * 1000);
    return refuse("init") ? NVML_ERROR_DRIVER_NOT_LOADED : NVML_SUCCESS;
}

nvmlReturn_t nvmlShutdown(void) { return NVML_SUCCESS; }

const char *nvmlErrorString(nvmlReturn_t result) {
    (void)result;
    return "fake error";
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    REFUSE("driver_version");
    snprintf(version, length, "999.01");
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    if (index >= 2) return NVML_ERROR_INVALID_ARGUMENT;
    *device = &devices[index];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
    for (int i = 0; i < 2; i++) {
        if (strcmp(uuid, devices[i].uuid) != 0) continue;
        *device = &devices[i];
        return NVML_SUCCESS;
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
    snprintf(name, length, "%s", device->name);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
    snprintf(uuid, length, "%s", device->uuid);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization) {
    REFUSE("utilisation");
    utilization->gpu = 40 * device->scale;
    utilization->memory = 10 * device->scale;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
    REFUSE("memory");
    if (memory->version != nvmlMemory_v2) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    memory->total = 16ULL << 30;
    memory->used = (unsigned long long)device->scale << 30;
    memory->reserved = 1ULL << 29;
    memory->free = memory->total - memory->used - memory->reserved;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int valuesCount, nvmlFieldValue_t *values) {
    REFUSE("fields");
    for (int i = 0; i < valuesCount; i++) {
        int known = values[i].fieldId == NVML_FI_DEV_POWER_INSTANT && !refuse("instant_power");
        values[i].nvmlReturn = known ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
        values[i].valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
        values[i].value.uiVal = known ? 150000 * device->scale : 0;
    }
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *power) {
    REFUSE("average_power");
    *power = 120000 * device->scale;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int *limit) {
    REFUSE("power_limit");
    *limit = 350000 * device->scale;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *energy) {
    REFUSE("energy");
    if (getenv("FAKE_NVML_COUNTER") != NULL) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        unsigned long long tenths = (unsigned long long)now.tv_sec * 10 + (unsigned long long)now.tv_nsec / 100000000;
        *energy = tenths * 15000 * device->scale;
        return NVML_SUCCESS;
    }
    device->energy_mj += 500;
    *energy = device->energy_mj;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock) {
    REFUSE(type == NVML_CLOCK_SM ? "sm_clock" : "memory_clock");
    const char *busy = getenv("FAKE_NVML_BUSY_FILE");
    if (type == NVML_CLOCK_SM && busy != NULL && access(busy, F_OK) != 0) {
        *clock = 345;
        return NVML_SUCCESS;
    }
    *clock = (type == NVML_CLOCK_SM ? 900 : 1300) * device->scale;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock) {
    (void)type;
    *clock = 990 * device->scale;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, nvmlEnableState_t *current, nvmlEnableState_t *pending) {
    *current = *pending = device->scale == 2 ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending) {
    (void)device;
    *current = *pending = NVML_DEVICE_MIG_DISABLE;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t device, nvmlComputeMode_t *mode) {
    *mode = device->scale == 2 ? NVML_COMPUTEMODE_EXCLUSIVE_PROCESS : NVML_COMPUTEMODE_DEFAULT;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *temperature) {
    REFUSE("temperature");
    if (refuse("temperature_v")) return NVML_ERROR_FUNCTION_NOT_FOUND;
    if (temperature->version != nvmlTemperature_v1) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    temperature->temperature = (int)(30 * device->scale);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensor, unsigned int *celsius) {
    REFUSE("temperature");
    if (sensor != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT;
    *celsius = 31 * device->scale;
    return NVML_SUCCESS;
}

static unsigned long long reasons(void) {
    const char *bits = getenv("FAKE_NVML_REASONS");
    return bits == NULL ? 0 : strtoull(bits, NULL, 0);
}

nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device, unsigned long long *bits) {
    (void)device;
    REFUSE("reasons");
    if (refuse("event_reasons")) return NVML_ERROR_FUNCTION_NOT_FOUND;
    *bits = reasons();
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long *bits) {
    (void)device;
    REFUSE("reasons");
    *bits = reasons();
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                     nvmlProcessInfo_t *infos) {
    (void)device;
    REFUSE("processes");
    const char *words = getenv("FAKE_NVML_PROCESSES");
    unsigned int found = 0;
    while (words != NULL && *words != '\0') {
        size_t word = strcspn(words, ",");
        if (infos != NULL && found < *count) {
            memset(&infos[found], 0, sizeof infos[found]);
            infos[found].pid = strncmp(words, "self", word) == 0 ? (unsigned int)getpid() : (unsigned int)atoi(words);
        }
        found++;
        words += word + (words[word] == ',');
    }
    unsigned int room = infos == NULL ? 0 : *count;
    *count = found;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}
