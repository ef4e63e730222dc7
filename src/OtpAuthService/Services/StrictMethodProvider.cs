using System.Reflection;
using System.Text;
using Google.Protobuf;
using Grpc.AspNetCore.Server.Model;
using Grpc.Core;

namespace OtpAuthService.Services;

/// <summary>
/// Binds generated services as Grpc.AspNetCore does, with one difference: a request that is not valid protobuf, or holds invalid UTF-8,
/// is INVALID_ARGUMENT. Without it such a request fails before any interceptor and is answered UNKNOWN.
/// </summary>
internal sealed class StrictMethodProvider<TService> : IServiceMethodProvider<TService>
    where TService : class
{
    public void OnServiceMethodDiscovery(ServiceMethodProviderContext<TService> context)
    {
        if (FindBinder() is { } bind)
        {
            bind.Invoke(null, [new Binder(context), null]);
        }
    }

    /// <summary>The generated <c>BindService(ServiceBinderBase, TBase)</c> that the service's base class names in an attribute.</summary>
    private static MethodInfo? FindBinder()
    {
        for (var type = typeof(TService); type is not null; type = type.BaseType)
        {
            if (type.GetCustomAttribute<BindServiceMethodAttribute>(inherit: false) is { } named)
            {
                return named.BindType.GetMethod(named.BindMethodName, [typeof(ServiceBinderBase), type]);
            }
        }

        return null;
    }

    private sealed class Binder(ServiceMethodProviderContext<TService> context) : ServiceBinderBase
    {
        public override void AddMethod<TRequest, TResponse>(
            Method<TRequest, TResponse> method, Grpc.Core.UnaryServerMethod<TRequest, TResponse>? handler)
            where TRequest : class
            where TResponse : class =>
            context.AddUnaryMethod(Strict(method), Metadata(method), Call<UnaryServerMethod<TService, TRequest, TResponse>>(method));

        public override void AddMethod<TRequest, TResponse>(
            Method<TRequest, TResponse> method, Grpc.Core.ClientStreamingServerMethod<TRequest, TResponse>? handler)
            where TRequest : class
            where TResponse : class =>
            context.AddClientStreamingMethod(
                Strict(method), Metadata(method), Call<ClientStreamingServerMethod<TService, TRequest, TResponse>>(method));

        public override void AddMethod<TRequest, TResponse>(
            Method<TRequest, TResponse> method, Grpc.Core.ServerStreamingServerMethod<TRequest, TResponse>? handler)
            where TRequest : class
            where TResponse : class =>
            context.AddServerStreamingMethod(
                Strict(method), Metadata(method), Call<ServerStreamingServerMethod<TService, TRequest, TResponse>>(method));

        public override void AddMethod<TRequest, TResponse>(
            Method<TRequest, TResponse> method, Grpc.Core.DuplexStreamingServerMethod<TRequest, TResponse>? handler)
            where TRequest : class
            where TResponse : class =>
            context.AddDuplexStreamingMethod(
                Strict(method), Metadata(method), Call<DuplexStreamingServerMethod<TService, TRequest, TResponse>>(method));

        private static TDelegate Call<TDelegate>(IMethod method)
            where TDelegate : Delegate =>
            Handler(method).CreateDelegate<TDelegate>();

        private static MethodInfo Handler(IMethod method) =>
            typeof(TService).GetMethod(method.Name) ?? throw new InvalidOperationException($"{typeof(TService).Name} has no {method.Name}.");

        private static List<object> Metadata(IMethod method) =>
            [.. typeof(TService).GetCustomAttributes(inherit: true), .. Handler(method).GetCustomAttributes(inherit: true)];

        private static Method<TRequest, TResponse> Strict<TRequest, TResponse>(Method<TRequest, TResponse> method)
        {
            var parse = method.RequestMarshaller.ContextualDeserializer;
            var strict = Marshallers.Create(method.RequestMarshaller.ContextualSerializer, Read);
            return new Method<TRequest, TResponse>(method.Type, method.ServiceName, method.Name, strict, method.ResponseMarshaller);

            TRequest Read(DeserializationContext message)
            {
                try
                {
                    return parse(message);
                }
                catch (Exception malformed) when (malformed is InvalidProtocolBufferException or DecoderFallbackException or ArgumentException)
                {
                    throw GrpcErrors.Malformed();
                }
            }
        }
    }
}
